"""Stitches that are a linear map with other parameters than its weights, and solving for any family part by part.

Torch is imported where it is used, as in every family.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from modelstitch.stitches.families.linear import LinearMap
from modelstitch.stitches.families.linear import Stitch as LinearStitch
from modelstitch.stitches.geometry import Cell, Part
from modelstitch.stitches.parted import PartedStitch

if TYPE_CHECKING:
    from torch import Tensor

    from modelstitch.stitches.normal_equations import Moments, Statistics


class ParametrisedStitch(PartedStitch):
    """A linear stitch with other parameters than its weights, which `linear_map` computes for each part."""

    def at_places(self, values: Tensor) -> list[Tensor]:
        """Outputs of each part before any upsampling, (N, ..., O)."""
        return self.linear.at_places(values)

    @property
    def linear(self) -> LinearStitch:
        """The equal linear stitch."""
        return LinearStitch(self.geometry, tuple(part.linear_map() for part in self.parts))


class PartMoments(NamedTuple):
    """The data from which the tensors of a part are solved for.

    Attributes:
        part: sizes of the part.
        statistics: means and covariances, float64.
        nearest: the linear map of least mean squared error.
        start: the part's tensors before training.
    """

    part: Part
    statistics: Statistics
    nearest: LinearMap
    start: Any


def solved(
    moments: Moments, cell: Cell, ridge: float, start: PartedStitch, solve: Callable[[PartMoments], tuple[Tensor, ...]]
) -> Any:
    """A family's stitch of least mean squared error; NaN if the moments are not finite.

    Args:
        moments, cell, ridge: the arguments of a family's `solve`.
        start: the stitch before training.
        solve: function that returns the tensors of one part, in the order of its named tuple.
    """
    import torch

    parts = []
    for index, (part, before) in enumerate(zip(start.geometry.parts, start.parts, strict=True)):
        nearest, statistics = LinearMap(*moments.solve(cell, index, ridge)), moments.statistics(cell, index)
        if nearest.weight.isfinite().all():
            tensors = solve(PartMoments(part, statistics, nearest, before))
            tensors = [tensor.float().contiguous() if tensor.is_floating_point() else tensor for tensor in tensors]
        else:
            tensors = [torch.full_like(one, torch.nan) if one.is_floating_point() else one for one in before]
        parts.append(start.KIND(*(tensor.to(nearest.bias.device) for tensor in tensors)))
    return type(start)(start.geometry, tuple(parts))
