"""Convolutions of k x k: torch's own, and a planted one is found."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from modelstitch.config.families import Convolution
from modelstitch.networks.representations import Representation
from modelstitch.stitches.families.convolution import Stitch, between, initialise, solve
from modelstitch.stitches.families.linear import LinearMap
from modelstitch.stitches.geometry import Geometry
from tests.stitches.made import moments_of, rows_of, values_of


def of_kernel(kernel):
    return Convolution(name="convolution", kernel=kernel)


def geometry_of(source, target, kernel=3):
    return between(source, target, of_kernel(kernel))


def as_kernels(weight, kernel):
    """Weights (O, k * k * C), in the order row, column, channel, as torch's (O, C, k, k)."""
    return weight.unflatten(1, (kernel, kernel, -1)).permute(0, 3, 1, 2)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("layouts", [("map", "map"), ("map-last", "map"), ("map", "map-last"), ("tokens", "tokens")])
def test_it_is_torchs_convolution_with_padding(kernel, layouts):
    source, target = (Representation(c, 6, 5, layout) for c, layout in zip((3, 4), layouts, strict=True))
    stitch = initialise(geometry_of(source, target, kernel), 0)
    values = values_of(source, images=3)
    grid, _ = source.split(values)
    weight, bias = (tensor.double() for tensor in stitch.maps[0])
    slow = F.conv2d(grid, as_kernels(weight, kernel), bias, padding=kernel // 2)
    torch.testing.assert_close(target.split(stitch(values))[0], slow, rtol=1e-9, atol=1e-9)


def test_a_planted_convolution_is_found():
    geometry = geometry_of(Representation(3, 6, 6), Representation(4, 6, 6))
    planted, sent = initialise(geometry, 0), values_of(Representation(3, 6, 6))
    found = solve(moments_of(geometry, sent, planted(sent)), (0, 0), 0.0)
    for one, other in zip(found.maps[0], planted.maps[0], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_least_squares_are_numpys_over_all_patches():
    geometry = geometry_of(Representation(3, 5, 4), Representation(4, 5, 4))
    sent, received = values_of(geometry.source), values_of(geometry.target, seed=1)
    found = solve(moments_of(geometry, sent, received), (0, 0), 1e-12)
    seen, wanted = rows_of(geometry, sent, received)
    assert seen.shape == (200 * 20, 27)
    with_one = np.hstack([seen, np.ones((len(seen), 1))])
    slow, *_ = np.linalg.lstsq(with_one, wanted, rcond=None)
    np.testing.assert_allclose(found.maps[0].weight.numpy(), slow[:-1].T, atol=1e-4)
    np.testing.assert_allclose(found.maps[0].bias.numpy(), slow[-1], atol=1e-3)


def test_a_kernel_of_its_middle_alone_is_the_1x1():
    source, target = Representation(3, 6, 6), Representation(4, 6, 6)
    weight, bias = torch.randn(4, 3), torch.randn(4)
    kernels = torch.zeros(4, 9, 3)
    kernels[:, 4] = weight
    stitch = Stitch(geometry_of(source, target), (LinearMap(kernels.flatten(1), bias),))
    same = Stitch(Geometry.between(source, target), (LinearMap(weight, bias),))
    values = values_of(source)
    torch.testing.assert_close(stitch(values), same(values))


def test_a_smaller_grid_is_seen_so_before_it_is_upsampled_and_a_resized_one_after():
    smaller = geometry_of(Representation(3, 4, 4), Representation(4, 8, 8))
    assert (smaller.margin, smaller.scale, smaller.parts[0]) == (1, (2, 2), (16, 27, 4))
    resized = geometry_of(Representation(3, 7, 7), Representation(4, 8, 8), kernel=5)
    assert (resized.margin, resized.resize, resized.parts[0]) == (2, (8, 8), (64, 75, 4))


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (Representation(3, 8, 8), Representation(4, 4, 4)),
        (Representation(3, 8, 8), Representation(4, layout="vector")),
        (Representation(3, layout="vector"), Representation(4, layout="vector")),
    ],
)
def test_from_a_larger_grid_and_between_single_places_it_is_linear(source, target):
    assert geometry_of(source, target) == Geometry.between(source, target)


def test_class_tokens_have_a_map_of_their_own():
    source, target = Representation(3, 4, 4, "tokens", 1), Representation(5, 4, 4, "tokens", 1)
    assert geometry_of(source, target).parts == ((16, 27, 5), (1, 3, 5))
