"""Resizing first, then a linear map of each place: torch's own interpolation, then torch's convolution."""

import pytest
import torch
import torch.nn.functional as F

from modelstitch.config.families import Resized
from modelstitch.networks.representations import Representation
from modelstitch.stitches.families.resized import between, initialise, solve
from modelstitch.stitches.geometry import Geometry
from tests.stitches.made import moments_of, values_of

MODES = {"bilinear": {"mode": "bilinear", "align_corners": False}, "nearest": {"mode": "nearest"}}


def geometry_of(source, target, mode="bilinear"):
    return between(source, target, Resized(name="resized", mode=mode))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sides", [(8, 4), (4, 8), (7, 5), (32, 4)])
@pytest.mark.parametrize("layout", ["map", "map-last", "tokens"])
def test_it_is_interpolation_then_1x1(mode, sides, layout):
    source, target = (Representation(c, side, side, layout) for c, side in zip((3, 4), sides, strict=True))
    stitch, values = initialise(geometry_of(source, target, mode), 0), values_of(source, images=3)
    weight, bias = (tensor.double() for tensor in stitch.maps[0])
    grid = F.interpolate(source.split(values)[0], target.grid, **MODES[mode])
    slow = F.conv2d(grid, weight[:, :, None, None], bias)
    torch.testing.assert_close(target.split(stitch(values))[0], slow, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("mode", MODES)
def test_a_planted_map_is_found(mode):
    geometry = geometry_of(Representation(3, 8, 8), Representation(4, 5, 5), mode)
    planted, sent = initialise(geometry, 0), values_of(geometry.source)
    found = solve(moments_of(geometry, sent, planted(sent)), (0, 0), 0.0)
    for one, other in zip(found.maps[0], planted.maps[0], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_modes_that_see_other_numbers_share_no_covariance():
    source, target = Representation(3, 8, 8), Representation(4, 5, 5)
    keys = {geometry_of(source, target, mode).seen_by(0) for mode in MODES} | {
        Geometry.between(source, target).seen_by(0)
    }
    assert len(keys) == 3


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (Representation(3, 8, 8), Representation(4, 8, 8)),
        (Representation(3, 8, 8), Representation(4, layout="vector")),
        (Representation(3, layout="vector"), Representation(4, 8, 8)),
        (Representation(3, 8, 8), Representation(4, 1, 1)),
    ],
)
def test_between_grids_of_one_size_and_with_a_single_place_it_is_linear(source, target):
    assert geometry_of(source, target) == Geometry.between(source, target)
