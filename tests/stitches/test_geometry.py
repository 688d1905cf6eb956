"""The geometry between any two representations."""

import itertools
import json

import pytest

from modelstitch.networks.representations import Representation
from modelstitch.stitches.geometry import MOST_INPUTS, Geometry, geometries, in_order

GRIDS = [(1, 1), (2, 2), (4, 4), (7, 7), (8, 8), (13, 13), (28, 28), (30, 30), (3, 8), (5, 12)]


def map_of(channels, height, width=None):
    return Representation(channels, height, width or height)


def tokens_of(channels, side, extra=0):
    return Representation(channels, side, side, "tokens", extra)


def test_kernels_and_scales_of_the_paper():
    """Stages of 64, 128, 256 and 512 channels, each half as large as the one before (arXiv 2303.11277)."""
    stages = [map_of(64 * 2**stage, 32 // 2**stage) for stage in range(4)]
    for (i, source), (j, target) in itertools.product(enumerate(stages), repeat=2):
        geometry = Geometry.between(source, target)
        assert geometry.kernel == (max(1, 2 ** (j - i)),) * 2 and geometry.scale == (max(1, 2 ** (i - j)),) * 2
        assert geometry.resize is None
        (part,) = geometry.parts
        assert part == (min(source.height, target.height) ** 2, 64 * 2**i * 4 ** max(0, j - i), 64 * 2**j)


def test_every_representation_leads_to_every_other():
    """No cell of any two networks is without a stitch: maps of any size, tokens, vectors."""
    layouts = [Representation(5, *grid, layout) for grid in GRIDS for layout in ("map", "map-last")]
    layouts += [Representation(5, *grid, "tokens", extra) for grid in GRIDS for extra in (0, 1, 2)]
    layouts.append(Representation(5, layout="vector"))
    for source, target in itertools.product(layouts, repeat=2):
        geometry = Geometry.between(source, target)
        given = sum(part.places * part.outputs for part in geometry.parts)
        upsampled = geometry.scale[0] * geometry.scale[1]
        extra = target.extra * target.channels
        assert (given - extra) * upsampled + extra == target.size
        seen = geometry.resize or source.grid
        assert tuple(side // step for side, step in zip(seen, geometry.kernel, strict=True)) == geometry.grid


@pytest.mark.parametrize(
    ("source", "target", "resize", "kernel", "scale"),
    [
        (map_of(3, 30), map_of(4, 28), (28, 28), (1, 1), (1, 1)),  # neither divides the other: bilinear
        (map_of(3, 13), map_of(4, 28), (28, 28), (1, 1), (1, 1)),
        (map_of(3, 32, 64), map_of(4, 16), None, (2, 4), (1, 1)),
        (map_of(3, 16, 8), map_of(4, 4, 16), None, (4, 1), (1, 2)),
        (map_of(3, 32), tokens_of(4, 8, 1), None, (4, 4), (1, 1)),  # a grid of tokens is as a map's
        (map_of(3, 4), tokens_of(4, 8), None, (1, 1), (2, 2)),
        (map_of(3, 15), tokens_of(4, 8, 1), (8, 8), (1, 1), (1, 1)),
        (tokens_of(3, 8, 1), map_of(4, 4), None, (2, 2), (1, 1)),
        (tokens_of(3, 8), map_of(4, 32), None, (1, 1), (4, 4)),
        (tokens_of(3, 14, 1), tokens_of(4, 7, 1), None, (2, 2), (1, 1)),
        (tokens_of(3, 14, 1), tokens_of(4, 16, 1), (16, 16), (1, 1), (1, 1)),
        (tokens_of(3, 8, 1), tokens_of(4, 8, 1), None, (1, 1), (1, 1)),
        (map_of(3, 8), Representation(4, layout="vector"), None, (8, 8), (1, 1)),
        (Representation(4, layout="vector"), map_of(3, 8), None, (1, 1), (8, 8)),
        (Representation(4, layout="vector"), tokens_of(3, 8, 1), None, (1, 1), (8, 8)),
    ],
)
def test_what_is_resized_cut_into_patches_or_upsampled(source, target, resize, kernel, scale):
    assert Geometry.between(source, target)[2:] == (resize, kernel, scale, 0, None)


@pytest.mark.parametrize(
    ("source", "target", "parts"),
    [
        (map_of(3, 8), tokens_of(4, 8, 1), [(64, 3, 4), (1, 3, 4)]),  # the class token from the mean of the map
        (map_of(3, 8), tokens_of(4, 8, 2), [(64, 3, 4), (1, 3, 8)]),
        (tokens_of(3, 8, 1), map_of(4, 8), [(64, 6, 4)]),  # the class token beside every place
        (tokens_of(3, 8, 1), map_of(4, 4), [(16, 15, 4)]),
        (tokens_of(3, 8, 1), tokens_of(4, 8, 1), [(65, 3, 4)]),  # one map for all tokens
        (tokens_of(3, 8, 2), tokens_of(4, 8, 1), [(64, 3, 4), (1, 6, 4)]),
        (tokens_of(3, 8, 1), Representation(4, layout="vector"), [(1, 195, 4)]),
    ],
)
def test_extra_tokens_have_a_map_of_their_own_or_share_one(source, target, parts):
    assert [tuple(part) for part in Geometry.between(source, target).parts] == parts


@pytest.mark.parametrize(("channels", "side", "target"), [(64, 56, 7), (256, 56, 7), (64, 32, 1), (3, 224, 1)])
def test_a_patch_is_pooled_no_further_than_it_must_be(channels, side, target):
    geometry = Geometry.between(map_of(channels, side), map_of(8, target))
    kernel = geometry.kernel[0]
    assert channels * kernel**2 <= MOST_INPUTS
    assert (geometry.resize or (side,))[0] == kernel * target
    wider = [k for k in range(kernel + 1, side // target + 1) if side // target % k == 0]
    assert all(channels * k**2 > MOST_INPUTS for k in wider)


def test_a_geometry_is_read_back_as_it_was_written():
    for source, target in itertools.product(
        [map_of(3, 30), tokens_of(4, 8, 1), Representation(5, layout="vector")], repeat=2
    ):
        geometry = Geometry.between(source, target)
        assert Geometry.from_json(json.loads(json.dumps(geometry.as_json()))) == geometry


def test_cells_are_in_one_order_however_layers_are_named():
    shapes = dict(enumerate([map_of(3, 8)] * 3, start=-1))
    cells = geometries(shapes, shapes, [1, -1, 0], [0, -1])
    assert list(cells) == [(-1, -1), (0, -1), (1, -1), (-1, 0), (0, 0), (1, 0)] == in_order(reversed(list(cells)))
