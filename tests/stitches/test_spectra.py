"""Weights whose spectrum is known."""

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import ortho_group

from modelstitch.stitches.spectra import SHAPES, SPECTRUM, permutation_distance, random_spectrum, spectrum

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("scale", [1, 0.3, 40])
def test_an_identity_is_at_no_distance_and_of_full_rank(scale):
    found = spectrum(scale * np.eye(6, dtype=np.float32))
    assert set(found) == {*SPECTRUM, *SHAPES}
    assert found["largest_singular_value"] == found["smallest_singular_value"] == pytest.approx(scale)
    assert found["full_rank"] == found["numerical_rank"] == 6
    assert found["effective_rank"] == pytest.approx(6) and found["participation_ratio"] == pytest.approx(6)
    assert found["spectral_ratio"] == pytest.approx(6**-0.5)
    assert found["orthogonal_distance"] < 1e-6 and found["permutation_distance"] < 1e-6


@pytest.mark.parametrize(("outputs", "inputs"), [(7, 7), (4, 9), (9, 4)])
def test_a_scaled_semi_orthogonal_matrix_is_at_no_distance_from_orthogonal_ones_only(outputs, inputs):
    weight = 3 * ortho_group.rvs(max(outputs, inputs), random_state=0)[:outputs, :inputs]
    found = spectrum(weight)
    assert found["effective_rank"] == pytest.approx(found["full_rank"]) == min(outputs, inputs)
    assert found["orthogonal_distance"] < 1e-6 and found["permutation_distance"] > 0.3


@pytest.mark.parametrize(("outputs", "inputs"), [(6, 6), (3, 8), (8, 3)])
def test_a_scaled_permutation_is_at_no_distance(outputs, inputs):
    places = RANDOM.permutation(max(outputs, inputs))[: min(outputs, inputs)]
    weight = np.zeros((outputs, inputs))
    weight[(places, range(inputs)) if outputs > inputs else (range(outputs), places)] = 0.2
    found = spectrum(weight)
    assert found["orthogonal_distance"] < 1e-6 and found["permutation_distance"] < 1e-6


def test_a_matrix_of_rank_one_has_rank_one():
    weight = np.outer(RANDOM.standard_normal(5), RANDOM.standard_normal(7)).astype(np.float32)
    found = spectrum(weight)
    assert found["numerical_rank"] == 1 and found["full_rank"] == 5
    assert found["effective_rank"] == pytest.approx(1, abs=1e-4)
    assert found["participation_ratio"] == pytest.approx(1, abs=1e-4)
    assert found["spectral_ratio"] == pytest.approx(1)
    assert found["orthogonal_distance"] == pytest.approx((1 - 1 / 5) ** 0.5, rel=1e-4)


def test_the_nearest_orthogonal_matrix_is_found_by_no_other_means_nearer():
    """Against gradient descent on the scale and a skew-symmetric generator of the orthogonal matrix."""
    weight = torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    start = torch.from_numpy(ortho_group.rvs(4, random_state=0))
    best = np.inf
    for side in (1.0, -1.0):
        first = start * torch.tensor([side, 1, 1, 1], dtype=torch.float64)
        generator = torch.zeros(4, 4, dtype=torch.float64, requires_grad=True)
        scale = torch.ones((), dtype=torch.float64, requires_grad=True)
        optimiser = torch.optim.LBFGS([generator, scale], max_iter=500, line_search_fn="strong_wolfe")

        def distance(first=first, generator=generator, scale=scale):
            return (weight - scale * first @ torch.matrix_exp(generator - generator.T)).square().sum()

        def closure(optimiser=optimiser, distance=distance):
            optimiser.zero_grad()
            loss = distance()
            loss.backward()
            return loss

        optimiser.step(closure)
        best = min(best, (distance().sqrt() / weight.norm()).item())
    assert spectrum(weight.numpy())["orthogonal_distance"] == pytest.approx(best, rel=1e-4)


@pytest.mark.parametrize(("outputs", "inputs"), [(4, 4), (3, 5), (5, 3)])
def test_the_nearest_permutation_is_the_best_of_all(outputs, inputs):
    weight = RANDOM.standard_normal((outputs, inputs))
    tall = weight if outputs >= inputs else weight.T
    distances = []
    for chosen in itertools.permutations(range(tall.shape[0]), tall.shape[1]):
        matching = np.zeros(tall.shape)
        matching[list(chosen), range(tall.shape[1])] = 1
        scale = max(0, (tall * matching).sum() / tall.shape[1])
        distances.append(np.linalg.norm(tall - scale * matching) / np.linalg.norm(tall))
    assert permutation_distance(weight) == pytest.approx(min(distances))


def test_the_negative_of_a_permutation_is_far_from_all():
    assert permutation_distance(-np.eye(2)) == 1
    assert spectrum(-np.eye(2))["orthogonal_distance"] < 1e-6


def test_zeros_and_weights_that_diverged_have_no_spectrum():
    assert spectrum(np.zeros((3, 3))) == {} and spectrum(np.array([[1.0, np.nan]])) == {}


def test_a_random_matrix_has_the_distance_that_the_quarter_circle_law_gives():
    """The mean singular value of a large square Gaussian matrix is 8 / 3π of the root of the mean square."""
    found = random_spectrum(400, 400)
    assert found["orthogonal_distance_random"] == pytest.approx((1 - (8 / 3 / np.pi) ** 2) ** 0.5, abs=0.005)
    assert found["participation_ratio_random"] == pytest.approx(200, rel=0.02)
    assert random_spectrum(400, 400) == found
