"""Orthogonal stitches: a planted rotation is found, and training keeps it one."""

import pytest
import torch
from scipy.linalg import orthogonal_procrustes

from modelstitch.config.families import Orthogonal
from modelstitch.fitting.beginning import trainable
from modelstitch.fitting.matching import error
from modelstitch.networks.representations import Representation
from modelstitch.optimisers import SGD, AdamW
from modelstitch.stitches.families.orthogonal import Rotation, Stitch, capacity, initialise, orthonormal, solve
from modelstitch.stitches.geometry import Geometry
from tests.stitches.made import error_of, moments_of, rows_of, values_of

SETTINGS = Orthogonal(name="orthogonal")
SIZES = [(6, 6), (8, 5), (5, 8)]


def between(inputs, outputs):
    return Geometry.between(Representation(inputs, 4, 4), Representation(outputs, 4, 4))


def solved(geometry, sent, received):
    return solve(moments_of(geometry, sent, received), (0, 0), 1e-4, SETTINGS)


def off_orthogonal(weight, scale):
    """Largest difference of the smaller side's products from those of an orthonormal basis."""
    weight = weight.detach() / scale.detach()
    products = weight @ weight.T if weight.shape[0] <= weight.shape[1] else weight.T @ weight
    return (products - torch.eye(len(products))).abs().max().item()


def white(geometry, seed=0):
    """Representations whose channels are not correlated, with which unequal sizes are identifiable."""
    return torch.randn(400, *geometry.source.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("inputs", "outputs"), [(6, 6), (5, 8)])
def test_a_planted_rotation_scale_and_bias_are_found(inputs, outputs):
    geometry = between(inputs, outputs)
    planted = Rotation(initialise(geometry, 3, SETTINGS).parts[0].matrix, torch.tensor(2.5), torch.arange(outputs) / 3)
    sent = values_of(geometry.source)
    found = solved(geometry, sent, Stitch(geometry, (planted,))(sent))
    for one, other in zip(found.parts[0], planted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_from_more_channels_a_planted_rotation_of_white_ones_is_found():
    geometry = between(8, 5)
    planted = initialise(geometry, 3, SETTINGS)
    sent = white(geometry)
    found = solved(geometry, sent, planted(sent))
    torch.testing.assert_close(found.parts[0].matrix, planted.parts[0].matrix, rtol=0, atol=0.05)


@pytest.mark.parametrize(("inputs", "outputs"), SIZES)
def test_it_is_procrustes_with_what_is_expected_padded_by_zeros(inputs, outputs):
    """Against SciPy's, of square matrices."""
    geometry = between(inputs, outputs)
    sent, received = values_of(geometry.source), values_of(geometry.target, seed=1)
    found = solved(geometry, sent, received).parts[0]
    seen, wanted = (torch.as_tensor(each - each.mean(0)) for each in rows_of(geometry, sent, received))
    size = max(inputs, outputs)
    seen, wanted = (torch.nn.functional.pad(each, (0, size - each.shape[1])) for each in (seen, wanted))
    rotation = torch.as_tensor(orthogonal_procrustes(seen.numpy(), wanted.numpy())[0].T)[:outputs, :inputs]
    if inputs == outputs:
        torch.testing.assert_close(found.matrix.double(), rotation, rtol=0, atol=1e-4)
    # Of unequal sizes the padding may turn as it likes; what is explained is the same.
    explained = (wanted[:, :outputs] * (seen[:, :inputs] @ found.matrix.double().T)).sum()
    assert explained.item() == pytest.approx((wanted[:, :outputs] * (seen[:, :inputs] @ rotation.T)).sum().item())


@pytest.mark.parametrize(("inputs", "outputs"), SIZES)
def test_its_scale_and_bias_are_the_best(inputs, outputs):
    geometry = between(inputs, outputs)
    sent, received = values_of(geometry.source), values_of(geometry.target, seed=1)
    matrix, scale, bias = solved(geometry, sent, received).parts[0]
    least = error_of(Stitch(geometry, (Rotation(matrix, scale, bias),)), sent, received)
    for change in (0.9, 0.99, 1.01, 1.1):
        assert error_of(Stitch(geometry, (Rotation(matrix, scale * change, bias),)), sent, received) > least
        assert error_of(Stitch(geometry, (Rotation(matrix, scale, bias * change),)), sent, received) > least


@pytest.mark.parametrize(("inputs", "outputs"), SIZES)
@pytest.mark.parametrize("protocol", ["sgd", "adam"])
def test_training_keeps_it_orthogonal_and_comes_near_the_closed_form(inputs, outputs, protocol):
    geometry = between(inputs, outputs)
    sent, received = values_of(geometry.source).float(), values_of(geometry.target, seed=1).float()
    stitch = trainable(initialise(geometry, 0, SETTINGS), "cpu")
    optimiser = SGD(stitch.parameters, 0.9, 1e-4) if protocol == "sgd" else AdamW(stitch.parameters, 1e-4)
    optimiser.rate = 0.01
    for _ in range(600):
        optimiser.zero_grad()
        error(stitch, sent, received).backward()
        optimiser.step()
        assert off_orthogonal(stitch.linear.maps[0].weight, stitch.parts[0].scale) < 1e-5
    closed = error_of(solved(geometry, sent.double(), received.double()), sent, received)
    assert error_of(stitch, sent, received) < 1.02 * closed


@pytest.mark.parametrize(("inputs", "outputs"), SIZES)
def test_an_orthogonal_matrix_is_its_own_factor(inputs, outputs):
    matrix = initialise(between(inputs, outputs), 0, SETTINGS).parts[0].matrix
    torch.testing.assert_close(orthonormal(matrix), matrix, rtol=0, atol=1e-6)
    torch.testing.assert_close(orthonormal(3 * matrix), matrix, rtol=0, atol=1e-6)


def test_capacity_is_counted_by_hand():
    assert capacity(between(6, 6), SETTINGS) == 6 * 5 // 2 + 1 + 6  # a rotation of six dimensions has fifteen angles
    assert capacity(between(8, 1), SETTINGS) == 7 + 1 + 1  # a direction among eight
