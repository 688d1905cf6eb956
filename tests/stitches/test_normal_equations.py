"""Least squares and whitening from sums over batches, for representations of any kind."""

import itertools

import pytest
import torch

from modelstitch.data.images import DeviceImages
from modelstitch.fitting.beginning import moments_of as moments_of_networks
from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.networks.representations import Representation
from modelstitch.stitches.assembly import inputs
from modelstitch.stitches.families.linear import LinearMap, Stitch, solve
from modelstitch.stitches.geometry import Geometry
from modelstitch.stitches.normal_equations import Moments
from tests import naive

KINDS = [
    Representation(3, 8, 8),
    Representation(2, 4, 4, "map-last"),
    Representation(3, 7, 5),
    Representation(4, 4, 4, "tokens", 1),
    Representation(3, 4, 4, "tokens", 2),
    Representation(3, layout="vector"),
]
CASES = [
    *itertools.product(KINDS, repeat=2),
    (Representation(3, 8, 12), Representation(5, 4, 4)),
    (Representation(3, 2, 2), Representation(5, 8, 8)),
]


def values_of(shape, images=300, seed=0):
    """Representations whose channels are correlated and have a mean."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(images, *shape.shape, dtype=torch.float64, generator=generator)
    mixing = torch.randn(shape.channels, shape.channels, dtype=torch.float64, generator=generator)
    return (values.movedim(shape.channel_dimension, -1) @ mixing).movedim(-1, shape.channel_dimension) + 3


def moments_of(cells, sender_maps, receiver_maps):
    moments = Moments(cells)
    for part in (slice(0, 37), slice(37, None)):
        moments.add([maps[part] for maps in sender_maps], [maps[part] for maps in receiver_maps])
    return moments


@pytest.mark.parametrize(("source", "target"), CASES)
def test_no_stitch_is_nearer_than_the_solution(source, target):
    geometry = Geometry.between(source, target)
    sent, received = values_of(source), values_of(target, seed=1)
    solution = solve(moments_of({(0, 0): geometry}, [sent], [received]), (0, 0), ridge=1e-12)
    maps = tuple(LinearMap(*(tensor.double().requires_grad_() for tensor in part)) for part in solution.maps)
    stitch = Stitch(geometry, maps)
    error = (stitch(sent) - received).square().mean()
    error.backward()
    # Least squares is convex: where the gradient is zero, the error is least.
    assert max(tensor.grad.abs().max() for tensor in stitch.parameters) < 1e-5
    worse = Stitch(geometry, tuple(part._replace(weight=part.weight + 0.01) for part in maps))
    assert (worse(sent) - received).square().mean() > error


@pytest.mark.parametrize(("source", "target"), CASES)
def test_a_stitch_is_found_again(source, target):
    geometry = Geometry.between(source, target)
    generator = torch.Generator().manual_seed(2)
    maps = tuple(
        LinearMap(*(torch.randn(size, generator=generator) for size in ((part.outputs, part.inputs), part.outputs)))
        for part in geometry.parts
    )
    sent = values_of(source, images=2000)
    received = Stitch(geometry, maps)(sent)
    solution = solve(moments_of({(0, 0): geometry}, [sent], [received]), (0, 0), ridge=0)
    for found, expected in zip(solution.parameters, Stitch(geometry, maps).parameters, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("source", "target"), CASES)
def test_the_error_of_a_stitch_is_told_without_the_images(source, target):
    geometry = Geometry.between(source, target)
    sent, received = values_of(source), values_of(target, seed=1)
    moments = moments_of({(0, 0): geometry}, [sent], [received])
    stitch = solve(moments, (0, 0), ridge=0.1)
    expected = (stitch(sent) - received).square().mean().item()
    assert moments.mean_squared_error((0, 0), stitch.maps) == pytest.approx(expected, rel=1e-5)


def test_a_ridge_is_a_share_of_the_mean_variance():
    geometry = Geometry.between(Representation(3, 4, 4), Representation(2, 4, 4))
    sender_maps, receiver_maps = values_of(geometry.source), values_of(geometry.target, seed=1)
    inputs, outputs = (maps.permute(0, 2, 3, 1).flatten(0, 2) for maps in (sender_maps, receiver_maps))
    inputs, outputs = inputs - inputs.mean(0), outputs - outputs.mean(0)
    covariance = inputs.T @ inputs / len(inputs)
    penalty = 0.1 * covariance.trace() / 3 * torch.eye(3)
    expected = torch.linalg.inv(covariance + penalty) @ inputs.T @ outputs / len(inputs)
    weight, _ = moments_of({(0, 0): geometry}, [sender_maps], [receiver_maps]).solve((0, 0), ridge=0.1)
    torch.testing.assert_close(weight.double(), expected.T, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("source", "target"), CASES)
def test_whitened_inputs_have_zero_mean_and_unit_covariance(source, target):
    geometry = Geometry.between(source, target)
    sent, received = values_of(source, images=2000), values_of(target, images=2000, seed=1)
    moments = moments_of({(0, 0): geometry, (0, 1): geometry}, [sent], [received, received])
    whitenings = moments.whitenings(ridge=0)
    for part, seen in enumerate(inputs(sent, geometry)):
        mean, inverse = whitenings[(0, 0), part]
        assert whitenings[(0, 1), part] is whitenings[(0, 0), part]
        white = (seen.flatten(0, -2) - mean) @ naive.root(inverse)
        size = len(mean)
        torch.testing.assert_close(white.mean(0), torch.zeros(size).double(), rtol=0, atol=1e-7)
        torch.testing.assert_close(white.T @ white / len(white), torch.eye(size).double(), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("source", "target"), CASES)
def test_deviations_are_those_of_what_each_part_should_give(source, target):
    geometry = Geometry.between(source, target)
    received = values_of(target, seed=1)
    moments = moments_of({(0, 0): geometry}, [values_of(source)], [received])
    parts = [received] if len(geometry.parts) == 1 else target.split(received)
    for part, values in enumerate(parts):
        dimension = target.channel_dimension if len(parts) == 1 else (1, -1)[part]
        flat = values.movedim(dimension, -1).flatten(0, -2) if part == 0 else values.flatten(1)
        expected = flat.var(dim=0, correction=0).mean().sqrt().item()
        assert moments.deviation((0, 0), part) == pytest.approx(expected, rel=1e-9)


def test_a_ridge_spares_small_variances_and_keeps_the_mean_variance():
    geometry = Geometry.between(Representation(3, 4, 4), Representation(2, 4, 4))
    maps = values_of(geometry.source) * torch.tensor([1.0, 3.0, 0.01])[:, None, None]
    moments = moments_of({(0, 0): geometry}, [maps], [values_of(geometry.target, seed=1)])
    mean, inverse = moments.whitenings(ridge=0.1)[(0, 0), 0]
    white = (maps.permute(0, 2, 3, 1).flatten(0, 2) - mean) @ naive.root(inverse)
    variances = white.square().mean(0)
    assert variances.mean() == pytest.approx(1.0)
    assert variances[2] < 0.01 * variances[0] < 0.011 * variances[1]


@pytest.mark.parametrize("constant", [0.0, 0.3, 7.1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_patches_that_are_all_the_same_are_not_whitened_and_give_the_mean(constant, dtype):
    geometry = Geometry.between(Representation(8, 8, 8), Representation(2, 4, 4))
    expected = values_of(geometry.target)
    moments = Moments({(0, 0): geometry}, dtype)
    moments.add({0: constant + 0 * values_of(geometry.source)}, {0: expected})
    torch.testing.assert_close(moments.whitenings()[(0, 0), 0].inverse_covariance, torch.eye(32).double())
    weight, bias = moments.solve((0, 0))
    assert not weight.any()
    torch.testing.assert_close(bias, expected.mean(dim=(0, 2, 3)), check_dtype=False)


def test_from_a_network_to_itself_it_is_the_identity(digits, trained):
    frozen = FrozenNetwork(trained)
    cells = {(i, i): Geometry.between(shape, shape) for i, shape in frozen.shapes.items()}
    images = DeviceImages(digits, digits.train)
    batches = (batch for batch, _ in images.in_order())
    moments = moments_of_networks(frozen, frozen, cells, batches, torch.float64)
    test_images, _ = next(DeviceImages(digits, digits.test).in_order())
    for (i, _), shape in zip(cells, frozen.shapes.values(), strict=True):
        solution = solve(moments, (i, i), ridge=1e-10)
        maps = frozen.representations(test_images)[i]
        torch.testing.assert_close(solution(maps), maps, rtol=1e-3, atol=1e-3)
        alive = moments.statistics((i, i)).covariance.diagonal() > 1e-4
        identity = torch.eye(shape.channels)
        weight = solution.maps[0].weight
        torch.testing.assert_close(weight[alive][:, alive], identity[alive][:, alive], rtol=0, atol=2e-2)


@pytest.mark.parametrize("smallest", [-0.3, -0.0995])
def test_a_covariance_that_rounding_leaves_hardly_positive_definite_gets_a_larger_ridge(smallest):
    """The smallest variance becomes less than minus a ridge, or so near that the others do not outweigh it."""
    geometry = Geometry.between(Representation(6, 4, 4), Representation(2, 4, 4))
    maps = values_of(geometry.source)
    moments = moments_of({(0, 0): geometry}, [maps], [values_of(geometry.target, seed=1)])
    mean, covariance, _, _ = moments.statistics((0, 0))
    values, vectors = torch.linalg.eigh(covariance)
    (products,) = moments.products.values()
    # So that the smallest is that share of the mean that is left.
    error = (values[0] - smallest * values.mean()) / (1 - smallest / 6)
    products[:6, :6] -= products[6, 6] * error * torch.outer(vectors[:, 0], vectors[:, 0])
    found, inverse = moments.whitenings(ridge=0.1)[(0, 0), 0]
    torch.testing.assert_close(found, mean)
    ridged = covariance - error * torch.outer(vectors[:, 0], vectors[:, 0])
    ridged = ridged + ridged.diagonal().mean() * torch.eye(6)
    torch.testing.assert_close(inverse / inverse.norm(), ridged.inverse() / ridged.inverse().norm())


def test_squares_that_overflow_are_not_taken_for_patches_that_are_all_the_same():
    geometry = Geometry.between(Representation(3, 4, 4), Representation(2, 4, 4))
    moments = Moments({(0, 0): geometry}, torch.float32)
    moments.add({0: 1e25 * values_of(geometry.source).float()}, {0: values_of(geometry.target)})
    assert moments.solve((0, 0))[0].isnan().all()
    torch.testing.assert_close(moments.whitenings()[(0, 0), 0].inverse_covariance, torch.eye(3).double())


def test_moments_that_are_not_finite_give_no_solution_and_no_whitening():
    geometry = Geometry.between(Representation(3, 4, 4), Representation(2, 4, 4))
    sender_maps = values_of(geometry.source)
    sender_maps[0, 0] = torch.inf
    moments = moments_of({(0, 0): geometry}, [sender_maps], [values_of(geometry.target)])
    assert moments.solve((0, 0))[0].isnan().all()
    mean, inverse = moments.whitenings()[(0, 0), 0]
    assert not mean.any() and torch.allclose(inverse, torch.eye(3).double(), atol=1e-3)
