"""What every stitch with tensors of its own for each part of its geometry is: their names, and how a file keeps them.

Torch is imported where it is used, as in every family.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from modelstitch.stitches.geometry import Geometry

if TYPE_CHECKING:
    from torch import Tensor

NAMES = ("", "extra.")  # of a geometry's parts, in a file


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
