import pytest
import torch

from modelstitch.data.images import DeviceImages
from modelstitch.engine.frozen import FrozenNetwork
from modelstitch.networks.architectures import Shape
from modelstitch.stitches.linear import Geometry, Stitch, patches
from modelstitch.stitches.normal_equations import Moments, accumulate
from tests import naive

CASES = [
    (Shape(3, 8, 8), Shape(5, 8, 8)),
    (Shape(3, 8, 12), Shape(5, 4, 4)),
    (Shape(3, 7, 9), Shape(2, 4, 3)),
    (Shape(3, 2, 2), Shape(5, 8, 8)),
    (Shape(3, 3, 5), Shape(2, 5, 9)),
    (Shape(3, 5, 3), Shape(2, 7, 6)),
]


def maps_of(shape, images=60, seed=0):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(images, *shape, dtype=torch.float64, generator=generator)
    mixing = torch.randn(shape.channels, shape.channels, dtype=torch.float64, generator=generator)
    return torch.einsum("oc,nchw->nohw", mixing, maps) + 3


def moments_of(cells, sender_maps, receiver_maps):
    moments = Moments(cells)
    for part in (slice(0, 37), slice(37, None)):
        moments.add([maps[part] for maps in sender_maps], [maps[part] for maps in receiver_maps])
    return moments


@pytest.mark.parametrize(("source", "target"), CASES)
def test_no_stitch_is_nearer_than_the_solution(source, target):
    geometry = Geometry.between(source, target)
    sender_maps, receiver_maps = maps_of(source), maps_of(target, seed=1)
    solution = moments_of({(0, 0): geometry}, [sender_maps], [receiver_maps]).solve((0, 0), ridge=0)
    weight, bias = (tensor.double().requires_grad_() for tensor in solution[:2])
    error = (Stitch(weight, bias, geometry)(sender_maps) - receiver_maps).square().mean()
    error.backward()
    # Least squares is convex: where the gradient is zero, the error is least.
    assert max(weight.grad.abs().max(), bias.grad.abs().max()) < 1e-5
    worse = (Stitch(weight + 0.01, bias, geometry)(sender_maps) - receiver_maps).square().mean()
    assert worse > error


@pytest.mark.parametrize(("source", "target"), CASES)
def test_a_stitch_is_found_again(source, target):
    geometry = Geometry.between(source, target)
    generator = torch.Generator().manual_seed(2)
    weight = torch.randn(target.channels, source.channels, *geometry.kernel, generator=generator)
    bias = torch.randn(target.channels, generator=generator)
    sender_maps = maps_of(source)
    receiver_maps = Stitch(weight, bias, geometry)(sender_maps)
    solution = moments_of({(0, 0): geometry}, [sender_maps], [receiver_maps]).solve((0, 0), ridge=0)
    torch.testing.assert_close(solution.weight, weight, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(solution.bias, bias, rtol=1e-4, atol=1e-4)


def test_a_ridge_is_a_share_of_the_mean_variance():
    geometry = Geometry.between(Shape(3, 4, 4), Shape(2, 4, 4))
    sender_maps, receiver_maps = maps_of(geometry.source), maps_of(geometry.target, seed=1)
    inputs, outputs = (maps.permute(0, 2, 3, 1).flatten(0, 2) for maps in (sender_maps, receiver_maps))
    inputs, outputs = inputs - inputs.mean(0), outputs - outputs.mean(0)
    covariance = inputs.T @ inputs / len(inputs)
    penalty = 0.1 * covariance.trace() / 3 * torch.eye(3)
    expected = torch.linalg.inv(covariance + penalty) @ inputs.T @ outputs / len(inputs)
    solution = moments_of({(0, 0): geometry}, [sender_maps], [receiver_maps]).solve((0, 0), ridge=0.1)
    torch.testing.assert_close(solution.weight[:, :, 0, 0].double(), expected.T, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("source", "target"), CASES)
def test_whitened_patches_have_zero_mean_and_unit_covariance(source, target):
    geometry = Geometry.between(source, target)
    sender_maps, receiver_maps = maps_of(source), maps_of(target, seed=1)
    moments = moments_of({(0, 0): geometry, (0, 1): geometry}, [sender_maps], [receiver_maps, receiver_maps])
    whitenings = moments.whitenings(ridge=0)
    mean, inverse = whitenings[0, 0]
    assert whitenings[0, 1] is whitenings[0, 0]
    kept = [-(-size // scale) for size, scale in zip(target[1:], geometry.scale, strict=True)]
    seen = patches(sender_maps, geometry.kernel)[:, : kept[0], : kept[1]]
    if all(size % scale == 0 for size, scale in zip(target[1:], geometry.scale, strict=True)):
        white = (seen.flatten(0, 2) - mean) @ naive.root(inverse)
        size = len(mean)
        torch.testing.assert_close(white.mean(0), torch.zeros(size).double(), rtol=0, atol=1e-8)
        torch.testing.assert_close(white.T @ white / len(white), torch.eye(size).double(), rtol=0, atol=1e-6)


def test_a_ridge_spares_small_variances_and_keeps_the_mean_variance():
    geometry = Geometry.between(Shape(3, 4, 4), Shape(2, 4, 4))
    maps = maps_of(geometry.source) * torch.tensor([1.0, 3.0, 0.01])[:, None, None]
    moments = moments_of({(0, 0): geometry}, [maps], [maps_of(geometry.target, seed=1)])
    mean, inverse = moments.whitenings(ridge=0.1)[0, 0]
    white = (maps.permute(0, 2, 3, 1).flatten(0, 2) - mean) @ naive.root(inverse)
    variances = white.square().mean(0)
    assert variances.mean() == pytest.approx(1.0)
    assert variances[2] < 0.01 * variances[0] < 0.011 * variances[1]


@pytest.mark.parametrize("constant", [0.0, 0.3, 7.1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_patches_that_are_all_the_same_are_not_whitened_and_give_the_mean(constant, dtype):
    geometry = Geometry.between(Shape(8, 8, 8), Shape(2, 4, 4))
    expected = maps_of(geometry.target)
    moments = Moments({(0, 0): geometry}, dtype)
    moments.add({0: constant + 0 * maps_of(geometry.source)}, {0: expected})
    torch.testing.assert_close(moments.whitenings()[0, 0].inverse_covariance, torch.eye(32).double())
    solution = moments.solve((0, 0))
    assert not solution.weight.any()
    torch.testing.assert_close(solution.bias, expected.mean(dim=(0, 2, 3)), check_dtype=False)


def test_from_a_network_to_itself_it_is_the_identity(digits, trained):
    frozen = FrozenNetwork(trained)
    shapes = frozen.shapes((1, 32, 32))
    cells = {(i, i): Geometry.between(shape, shape) for i, shape in shapes.items()}
    images = DeviceImages(digits, digits.train)
    moments = accumulate(frozen, frozen, cells, (batch for batch, _ in images.in_order()))
    test_images, _ = next(DeviceImages(digits, digits.test).in_order())
    for (i, _), shape in zip(cells, shapes.values(), strict=True):
        solution = moments.solve((i, i), ridge=1e-10)
        maps = frozen.representations(test_images)[i]
        torch.testing.assert_close(solution(maps), maps, rtol=1e-3, atol=1e-3)
        alive = moments.statistics((i, i)).covariance.diagonal() > 1e-4
        identity = torch.eye(shape.channels)
        torch.testing.assert_close(solution.weight[alive][:, alive, 0, 0], identity[alive][:, alive], rtol=0, atol=2e-2)


@pytest.mark.parametrize("smallest", [-0.3, -0.0995])
def test_a_covariance_that_rounding_leaves_hardly_positive_definite_gets_a_larger_ridge(smallest):
    """The smallest variance becomes less than minus a ridge, or so near that the others do not outweigh it."""
    geometry = Geometry.between(Shape(6, 4, 4), Shape(2, 4, 4))
    maps = maps_of(geometry.source)
    moments = moments_of({(0, 0): geometry}, [maps], [maps_of(geometry.target, seed=1)])
    mean, covariance, _, _ = moments.statistics((0, 0))
    values, vectors = torch.linalg.eigh(covariance)
    (products,) = moments.products.values()
    # So that the smallest is that share of the mean that is left.
    error = (values[0] - smallest * values.mean()) / (1 - smallest / 6)
    products[:6, :6] -= products[6, 6] * error * torch.outer(vectors[:, 0], vectors[:, 0])
    found, inverse = moments.whitenings(ridge=0.1)[0, 0]
    torch.testing.assert_close(found, mean)
    ridged = covariance - error * torch.outer(vectors[:, 0], vectors[:, 0])
    ridged = ridged + ridged.diagonal().mean() * torch.eye(6)
    torch.testing.assert_close(inverse / inverse.norm(), ridged.inverse() / ridged.inverse().norm())


def test_squares_that_overflow_are_not_taken_for_patches_that_are_all_the_same():
    geometry = Geometry.between(Shape(3, 4, 4), Shape(2, 4, 4))
    moments = Moments({(0, 0): geometry}, torch.float32)
    moments.add({0: 1e25 * maps_of(geometry.source).float()}, {0: maps_of(geometry.target)})
    assert moments.solve((0, 0)).weight.isnan().all()
    torch.testing.assert_close(moments.whitenings()[0, 0].inverse_covariance, torch.eye(3).double())


def test_moments_that_are_not_finite_give_no_solution_and_no_whitening():
    geometry = Geometry.between(Shape(3, 4, 4), Shape(2, 4, 4))
    sender_maps = maps_of(geometry.source)
    sender_maps[0, 0] = torch.inf
    moments = moments_of({(0, 0): geometry}, [sender_maps], [maps_of(geometry.target)])
    assert moments.solve((0, 0)).weight.isnan().all()
    mean, inverse = moments.whitenings()[0, 0]
    assert not mean.any() and torch.allclose(inverse, torch.eye(3).double(), atol=1e-3)
