"""Each index on known answers, and against the plainest computation or another implementation of it."""

from functools import partial
from itertools import product

import numpy as np
import pytest
import scipy.linalg
from scipy.spatial import procrustes as scipy_procrustes
from scipy.spatial.distance import pdist
from scipy.stats import ortho_group, spearmanr
from sklearn.cross_decomposition import CCA
from sklearn.metrics.pairwise import cosine_distances, rbf_kernel

from modelstitch.analysis.agreement import INDICES
from modelstitch.measures.similarity_indices import calibrated, null_point, similarities

IMAGES, NEIGHBOURS = 60, 5
ONCE = np.arange(IMAGES)[None]


def drawn(seed, features=4, images=IMAGES):
    return np.random.default_rng(seed).normal(size=(images, features)) * np.arange(1, features + 1)


def related(seed=0):
    """Features that share some of what they say, of other numbers and scales."""
    one = drawn(seed)
    other = np.hstack([one @ np.random.default_rng(1).normal(size=(4, 3)) + drawn(seed + 3, 3), drawn(seed + 2, 3)])
    return one, other + 2


def between(one, other):
    """Every index of two representations."""
    found = similarities([one], [other], np.arange(len(one))[None], NEIGHBOURS)
    return {name: values[0, 0, 0] for name, values in found.items()}


@pytest.mark.parametrize("index", INDICES)
def test_a_representation_is_equal_to_itself_rotated_scaled_and_moved(index):
    one = drawn(0)
    rotation = ortho_group.rvs(4, random_state=0)
    assert between(one, one)[index] == pytest.approx(1, abs=1e-6)
    assert between(one, 3 * one @ rotation)[index] == pytest.approx(1, abs=1e-6)
    if index != "mutual_knn":  # by angles from the origin
        assert between(one, one + 5)[index] == pytest.approx(1, abs=1e-6)


def test_canonical_correlations_do_not_change_with_any_invertible_map():
    one = drawn(0)
    found = between(one, one @ np.random.default_rng(1).normal(size=(4, 4)))
    assert found["pwcca"] == pytest.approx(1) and found["linear_cka"] < 0.99 and found["procrustes"] < 0.99


@pytest.mark.parametrize("index", ["linear_cka", "rbf_cka", "rsa"])
def test_independent_representations_have_none_of_it_on_average(index):
    """However many features there are; canonical correlations grow with them, and so does CKA with its bias."""
    values = [between(drawn(seed, 30, 40), drawn(seed + 100, 30, 40))[index] for seed in range(50)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(50)


def test_independent_representations_are_at_chance_once_calibrated():
    orders = np.stack([np.random.default_rng(seed).permutation(IMAGES) for seed in range(100)])
    orders = np.concatenate([ONCE, orders])
    one = drawn(0, 20)
    for other, shared in ((drawn(1, 20), False), (one + 0.1 * drawn(2, 20), True)):
        for name, values in similarities([one], [other], orders, NEIGHBOURS).items():
            value = calibrated(values[0], null_point(values[1:]))
            assert value > 0.3 if shared else value < 0.25, name
    assert between(one, drawn(1, 20))["pwcca"] > 0.4


def test_calibration_is_what_is_left_above_the_null():
    np.testing.assert_allclose(null_point(np.linspace(0, 1, 201)), 0.95)
    found = calibrated(np.array([0.2, 0.5, 0.75, 1, 1 + 1e-7, np.nan]), np.array([0.5, 0.5, 0.5, 0.5, 1, 0.5]))
    np.testing.assert_allclose(found, [0, 0, 0.5, 1, 0, np.nan])


def hsic(one, other):
    """Unbiased, by sums over all different images: Song et al. (2012), the U-statistic before it is simplified."""
    n = len(one)
    total = 0.0
    for i, j in product(range(n), range(n)):
        if i == j:
            continue
        rest = [k for k in range(n) if k not in (i, j)]
        total += one[i, j] * other[i, j] / (n * (n - 1))
        total -= 2 * sum(one[i, j] * other[i, k] for k in rest) / (n * (n - 1) * (n - 2))
        total += sum(one[i, j] * other[k, m] for k in rest for m in rest if m != k) / (n * (n - 1) * (n - 2) * (n - 3))
    return total


def loop_cka(kernel, one, other):
    one, other = kernel(one), kernel(other)
    return hsic(one, other) / np.sqrt(hsic(one, one) * hsic(other, other))


def gaussian(features):
    return rbf_kernel(features, gamma=1 / (2 * (0.4 * np.median(pdist(features))) ** 2))


def loop_neighbours(one, other):
    shared = 0
    for image in range(len(one)):
        near = [
            set(sorted((k for k in range(len(one)) if k != image), key=distances[image].__getitem__)[:NEIGHBOURS])
            for distances in (cosine_distances(one), cosine_distances(other))
        ]
        shared += len(near[0] & near[1])
    return shared / (len(one) * NEIGHBOURS)


def canonical(one, other):
    """Correlations and the first representation's variates, by scikit-learn's iterations."""
    count = min(one.shape[1], other.shape[1])
    variates = CCA(count, scale=False, max_iter=100_000, tol=1e-14).fit(one, other).transform(one, other)
    return [np.corrcoef(*pair)[0, 1] for pair in zip(*(each.T for each in variates), strict=True)], variates[0]


def principal(features):
    """The components of at least 99 % of the variance."""
    centred = features - features.mean(axis=0)
    variances, axes = np.linalg.eigh(centred.T @ centred)
    shares = np.cumsum(variances[::-1]) / variances.sum()
    return centred @ axes[:, ::-1][:, : np.argmax(shares >= 0.99) + 1]


def loop_pwcca(one, other):
    correlations, variates = canonical(one, other)
    variates = variates / np.linalg.norm(variates, axis=0)
    weights = [sum(abs(variate @ feature) for feature in (one - one.mean(axis=0)).T) for variate in variates.T]
    return np.average(correlations, weights=weights)


def padded_procrustes(one, other):
    """By SciPy's squared distance after rotation and the best scale, which is 1 less the square of the similarity."""
    one = np.hstack([one, np.zeros((len(one), other.shape[1] - one.shape[1]))])
    return np.sqrt(1 - scipy_procrustes(one, other)[2])


@pytest.mark.parametrize(
    ("index", "reference"),
    [
        ("linear_cka", partial(loop_cka, lambda features: features @ features.T)),
        ("rbf_cka", partial(loop_cka, gaussian)),
        ("rsa", lambda one, other: spearmanr(pdist(one), pdist(other)).statistic),
        ("mutual_knn", loop_neighbours),
        ("svcca", lambda one, other: np.mean(canonical(*map(principal, (one, other)))[0])),
        ("pwcca", loop_pwcca),
        ("procrustes", padded_procrustes),
    ],
)
def test_each_index_is_that_of_a_plain_computation(index, reference):
    one, other = (features[:14] for features in related())
    assert between(one, other)[index] == pytest.approx(reference(one, other), abs=2e-5)
    assert between(other, one)[index] == pytest.approx(reference(one, other), abs=2e-5)


def test_the_distance_of_procrustes_is_that_after_the_best_rotation():
    one, other = (features - features.mean(axis=0) for features in related())
    one, other = one / np.linalg.norm(one), other[:, :4] / np.linalg.norm(other[:, :4])
    rotation, _ = scipy.linalg.orthogonal_procrustes(one, other)
    distance = np.square(one @ rotation - other).sum()
    assert between(one, other)["procrustes"] == pytest.approx(1 - distance / 2)


def test_canonical_correlation_of_one_feature_is_the_ordinary_one():
    one, other = drawn(0, 1), drawn(0, 1) + drawn(1, 1)
    found = between(one, other)
    correlation = np.corrcoef(one.ravel(), other.ravel())[0, 1]
    for name in ("svcca", "pwcca", "procrustes"):
        assert found[name] == pytest.approx(correlation)


def test_shuffled_images_and_many_layers_give_what_each_alone_gives():
    senders, receivers = [drawn(0), drawn(1, 6)], [related()[1], drawn(2, 3)]
    orders = np.stack([np.random.default_rng(seed).permutation(IMAGES) for seed in range(3)])
    found = similarities(senders, receivers, orders, NEIGHBOURS)
    for (p, order), (i, sender), (j, receiver) in product(*map(enumerate, (orders, senders, receivers))):
        alone = between(sender, receiver[order])
        for name, values in found.items():
            assert values[p, i, j] == pytest.approx(alone[name], abs=1e-5)


@pytest.mark.parametrize("value", [0.1, np.nan, np.inf])
def test_a_constant_or_infinite_layer_has_no_similarity_and_harms_no_other(value):
    broken = np.full((IMAGES, 4), value)
    found = similarities([broken, drawn(0)], [drawn(0), broken], ONCE, NEIGHBOURS)
    for values in found.values():
        assert np.isnan(values[0, 0]).all() and np.isnan(values[0, 1, 1])
        assert values[0, 1, 0] == pytest.approx(1, abs=1e-6)
    assert all(np.isnan(values).all() for values in similarities([broken], [drawn(0)], ONCE, NEIGHBOURS).values())


def test_images_that_are_mostly_equal_have_no_bandwidth_but_all_else():
    few = np.zeros((IMAGES, 2))
    few[:5] = drawn(0, 2)[:5]
    found = between(few, few)
    assert np.isnan(found.pop("rbf_cka")) and found.pop("mutual_knn") == pytest.approx(1)
    assert list(found.values()) == pytest.approx([1] * 5, abs=1e-5)
