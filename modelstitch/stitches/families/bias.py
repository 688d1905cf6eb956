"""Bias alone: the sender's channels in their order, and a bias added to each; no map is learned.

It shows how far two networks share their coordinates already. A patch of a larger grid is reduced to its mean. If the
numbers of channels differ, the sender's last channels are left out, or the receiver's last ones get zeros. An extra
token is the sender's with the same index, or its last one if it has fewer, or the mean of its grid if it has none.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from modelstitch.config.families import Bias
from modelstitch.stitches.families import linear
from modelstitch.stitches.families.linear import LinearMap, between
from modelstitch.stitches.families.linear import Stitch as LinearStitch
from modelstitch.stitches.geometry import Cell, Geometry
from modelstitch.stitches.parts import ParametrisedStitch, PartMoments, solved

if TYPE_CHECKING:
    from torch import Tensor

    from modelstitch.stitches.normal_equations import Moments

__all__ = ["Shift", "Stitch", "between", "copying", "initialise", "numbers", "operations", "solve"]


class Shift(NamedTuple):
    """A bias (O,)."""

    bias: Tensor


class Stitch(ParametrisedStitch):
    """A bias for each of the geometry's parts."""

    KIND = Shift

    @property
    def linear(self) -> LinearStitch:
        """The equal linear stitch."""
        maps = (LinearMap(copying(self.geometry, part).to(one.bias), one.bias) for part, one in enumerate(self.parts))
        return LinearStitch(self.geometry, tuple(maps))


def copying(geometry: Geometry, part: int) -> Tensor:
    """The weight (O, D) that passes on a part's channels unchanged."""
    import torch

    source, target = geometry.source, geometry.target
    channels = torch.eye(target.channels, source.channels)
    if part == 0:
        places = math.prod(geometry.kernel)
        weight = torch.zeros(target.channels, geometry.parts[0].inputs)
        weight[:, : places * source.channels] = channels.repeat(1, places) / places
        return weight
    tokens = torch.zeros(target.extra, max(1, source.extra))
    for token in range(target.extra):
        tokens[token, min(token, tokens.shape[1] - 1)] = 1
    return torch.kron(tokens, channels)


def numbers(geometry: Geometry, settings: Bias) -> int:
    """Biases."""
    return sum(part.outputs for part in geometry.parts)


def operations(geometry: Geometry, settings: Bias) -> int:
    """Operations of a forward pass for one image: those of a linear map."""
    return linear.operations(geometry)


def initialise(geometry: Geometry, seed: int, settings: Bias) -> Stitch:
    """Biases of 0."""
    import torch

    return Stitch(geometry, tuple(Shift(torch.zeros(part.outputs)) for part in geometry.parts))


def solve(moments: Moments, cell: Cell, ridge: float, settings: Bias) -> Stitch:
    """The biases of least mean squared error: the differences of the means."""
    geometry = moments.geometries[cell]
    copies = iter([copying(geometry, part) for part in range(len(geometry.parts))])

    def shift(known: PartMoments) -> Shift:
        mean, _, target_mean, _ = known.statistics
        return Shift(target_mean - next(copies).to(mean) @ mean)

    return solved(moments, cell, ridge, initialise(geometry, 0, settings), shift)
