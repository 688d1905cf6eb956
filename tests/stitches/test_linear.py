"""Linear stitches are what their definition says, between representations of any kind."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from modelstitch.networks.representations import Representation
from modelstitch.stitches.families.linear import LinearMap, Stitch, initialise
from modelstitch.stitches.geometry import Geometry
from tests.stitches.made import identity

KINDS = [
    Representation(3, 8, 8),
    Representation(2, 4, 4),
    Representation(4, 7, 5),
    Representation(3, 4, 4, "map-last"),
    Representation(5, 4, 4, "tokens"),
    Representation(4, 4, 4, "tokens", 1),
    Representation(3, 8, 8, "tokens", 2),
    Representation(6, layout="vector"),
]
PAIRS = list(itertools.product(KINDS, repeat=2))


def grid_and_extra(values, shape):
    """A representation (N, *shape), numpy, as a grid (N, C, H, W) and extra tokens (N, extra * C)."""
    count = len(values)
    match shape.layout:
        case "map":
            return values, values[:, :0, 0, 0]
        case "map-last":
            return np.moveaxis(values, 3, 1), values[:, 0, 0, :0]
        case "vector":
            return values[:, :, None, None], values[:, :0]
    grid = np.moveaxis(values[:, shape.extra :].reshape(count, *shape.grid, shape.channels), 3, 1)
    return grid, values[:, : shape.extra].reshape(count, -1)


def stitched_slowly(stitch, values):
    """A stitch of representations (N, *shape) as the definition has it, place by place of the result."""
    source, target = stitch.geometry.source, stitch.geometry.target
    grid, extra = grid_and_extra(values.numpy(), source)
    mean = grid.mean(axis=(2, 3))
    whole = all(
        before % after == 0 or after % before == 0 for before, after in zip(source.grid, target.grid, strict=True)
    )
    if not whole:
        shrinks = all(before % after == 0 for before, after in zip(source.grid, target.grid, strict=True))
        mode = {"mode": "area"} if shrinks else {"mode": "bilinear", "align_corners": False}
        grid = F.interpolate(torch.from_numpy(grid), target.grid, **mode).numpy()
    weight, bias = (tensor.detach().numpy() for tensor in stitch.maps[0])
    steps = [max(1, before // after) for before, after in zip(grid.shape[2:], target.grid, strict=True)]
    repeats = [max(1, after // before) for before, after in zip(grid.shape[2:], target.grid, strict=True)]
    found = np.empty((len(values), target.channels, *target.grid))
    beside = extra if source.extra and not target.extra else extra[:, :0]
    for row, column in itertools.product(*map(range, target.grid)):
        top, left = row // repeats[0] * steps[0], column // repeats[1] * steps[1]
        patch = np.moveaxis(grid[:, :, top : top + steps[0], left : left + steps[1]], 1, 3).reshape(len(values), -1)
        found[:, :, row, column] = np.concatenate([patch, beside], axis=1) @ weight.T + bias
    match target.layout:
        case "map":
            return found
        case "map-last":
            return np.moveaxis(found, 1, 3)
        case "vector":
            return found[:, :, 0, 0]
    tokens = np.moveaxis(found, 1, 3).reshape(len(values), -1, target.channels)
    if not target.extra:
        return tokens
    if source.extra == target.extra and steps == repeats == [1, 1]:
        given = extra.reshape(len(values), target.extra, -1) @ weight.T + bias
    else:
        own, shift = (tensor.detach().numpy() for tensor in stitch.maps[1])
        seen = extra if source.extra else mean
        given = (seen @ own.T + shift).reshape(len(values), target.extra, -1)
    return np.concatenate([given, tokens], axis=1)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_stitch_of_any_two_kinds_is_the_slow_one(source, target):
    stitch = initialise(Geometry.between(source, target), seed=3)
    values = torch.randn(2, *source.shape, generator=torch.Generator().manual_seed(0))
    found = stitch(values)
    assert found.shape[1:] == target.shape
    expected = torch.from_numpy(stitched_slowly(stitch, values)).float()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("source", "target"), PAIRS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_a_stitch_is_in_the_precision_of_what_it_sees(source, target, dtype):
    stitch = initialise(Geometry.between(source, target), seed=3)
    values = torch.randn(2, *source.shape, generator=torch.Generator().manual_seed(0))
    found = stitch(values.to(dtype))
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), stitch(values), rtol=0.1, atol=0.1 * stitch(values).abs().max().item())


def test_1x1_then_nearest_upsampling_is_upsampling_first():
    stitch = initialise(Geometry.between(Representation(6, 5, 7), Representation(4, 20, 28)), seed=0)
    weight, bias = (tensor.double() for tensor in stitch.maps[0])
    maps = torch.randn(3, 6, 5, 7, dtype=torch.float64)
    upsampled = F.interpolate(maps, scale_factor=4, mode="nearest")
    first = F.conv2d(upsampled, weight[:, :, None, None], bias)
    torch.testing.assert_close(stitch(maps), first, rtol=1e-14, atol=1e-14)


def test_patches_side_by_side_are_a_strided_convolution():
    geometry = Geometry.between(Representation(3, 8, 12), Representation(5, 4, 3))
    stitch = initialise(geometry, seed=0)
    weight, bias = stitch.maps[0]
    kernel = weight.unflatten(1, (*geometry.kernel, 3)).permute(0, 3, 1, 2)
    maps = torch.randn(2, 3, 8, 12)
    torch.testing.assert_close(stitch(maps), F.conv2d(maps, kernel, bias, stride=geometry.kernel), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", KINDS)
def test_the_identity_changes_nothing(shape):
    values = torch.randn(3, *shape.shape)
    torch.testing.assert_close(identity(Geometry.between(shape, shape))(values), values, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_stitch_is_made_again_of_its_tensors(source, target):
    geometry = Geometry.between(source, target)
    stitch = initialise(geometry, seed=3)
    assert len(stitch.parameters) == len(stitch.tensors) == 2 * len(geometry.parts)
    again, values = Stitch.of(geometry, stitch.tensors), torch.randn(2, *source.shape)
    assert torch.equal(again(values), stitch(values))


def test_the_start_is_torchs_own_for_a_convolution():
    """To the last bit: what `torch.nn.Conv2d` draws of its fan-in, in the order of its weight."""
    geometry = Geometry.between(Representation(16, 32, 32), Representation(64, 8, 8))
    weight, bias = initialise(geometry, seed=1).maps[0]
    bound, generator = (16 * 4 * 4) ** -0.5, torch.Generator().manual_seed(1)
    kernel = torch.empty(64, 16, 4, 4).uniform_(-bound, bound, generator=generator)
    assert torch.equal(weight, kernel.permute(0, 2, 3, 1).flatten(1))
    assert torch.equal(bias, torch.empty(64).uniform_(-bound, bound, generator=generator))
    assert torch.equal(weight, initialise(geometry, seed=1).maps[0].weight)
    assert not torch.equal(weight, initialise(geometry, seed=2).maps[0].weight)


def test_a_stitch_is_linear_in_what_it_sees():
    geometry = Geometry.between(KINDS[6], KINDS[5])
    stitch = Stitch(
        geometry, tuple(LinearMap(part.weight, torch.zeros_like(part.bias)) for part in initialise(geometry, 0).maps)
    )
    one, other = torch.randn(2, 3, *KINDS[6].shape)
    torch.testing.assert_close(stitch(one + 2 * other), stitch(one) + 2 * stitch(other), rtol=1e-4, atol=1e-4)
