"""Stitches by their parts: a family says which tensors a part of the geometry has, and what they do.

Torch is imported where it is used, as in every family.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from modelstitch.stitches.families.linear import NAMES, LinearMap
from modelstitch.stitches.families.linear import Stitch as LinearStitch
from modelstitch.stitches.geometry import Cell, Geometry, Part

if TYPE_CHECKING:
    from torch import Tensor

    from modelstitch.stitches.normal_equations import Moments, Statistics


@dataclass(frozen=True, eq=False)
class PartedStitch:
    """Tensors for each of the geometry's parts.

    Attributes:
        geometry: how a representation of one shape becomes one of another.
        parts: a named tuple of tensors for each of the geometry's parts.
        KIND: its type.
        FIXED: those of its tensors that training does not move.
    """

    geometry: Geometry
    parts: tuple[Any, ...]
    KIND: ClassVar[type]
    FIXED: ClassVar[tuple[str, ...]] = ()

    def __call__(self, values: Tensor) -> Tensor:
        """What stands for the receiver's representation, (N, *target.shape), in the precision of `values`."""
        from modelstitch.stitches.assembly import assemble

        return assemble(self.at_places(values), self.geometry)

    def at_places(self, values: Tensor) -> list[Tensor]:
        """What each part gives, before any upsampling: (N, ..., O)."""
        raise NotImplementedError

    @property
    def parameters(self) -> list[Tensor]:
        """What training moves."""
        return [tensor for part in self.parts for name, tensor in part._asdict().items() if name not in self.FIXED]

    @property
    def tensors(self) -> dict[str, Tensor]:
        """What a file keeps, by the names of the part's tensors: `bias`, `extra.bias`."""
        return {
            f"{prefix}{name}": tensor
            for prefix, part in zip(NAMES, self.parts, strict=False)
            for name, tensor in part._asdict().items()
        }

    @classmethod
    def of(cls, geometry: Geometry, tensors: Mapping[str, Tensor]) -> Self:
        """The stitch whose `tensors` these are."""
        prefixes = NAMES[: len(geometry.parts)]
        parts = (cls.KIND(*(tensors[f"{prefix}{name}"] for name in cls.KIND._fields)) for prefix in prefixes)
        return cls(geometry, tuple(parts))


class ParametrisedStitch(PartedStitch):
    """A stitch that is linear in what it sees, by other tensors than its weights: `linear_map` of each part."""

    def at_places(self, values: Tensor) -> list[Tensor]:
        """What each part gives, before any upsampling: (N, ..., O)."""
        return self.linear.at_places(values)

    @property
    def linear(self) -> LinearStitch:
        """The linear stitch that it equals."""
        return LinearStitch(self.geometry, tuple(part.linear_map() for part in self.parts))


class PartMoments(NamedTuple):
    """What is known of a part whose tensors are to be solved for.

    Attributes:
        part: its sizes.
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
    """A family's stitch of least mean squared error; NaN where the moments are not finite.

    Args:
        moments, cell, ridge: as a family's `solve` has them.
        start: the stitch before training.
        solve: the tensors of one part, in the order of its kind.
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
