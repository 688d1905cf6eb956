"""The base of stitches with separate tensors for each part of their geometry: their names, and their form in a file.

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
        geometry: how the stitch maps one shape to another.
        parts: a named tuple of tensors for each of the geometry's parts.
        KIND: type of these named tuples.
        FIXED: names of the tensors that are not trained.
    """

    geometry: Geometry
    parts: tuple[Any, ...]
    KIND: ClassVar[type]
    FIXED: ClassVar[tuple[str, ...]] = ()

    def __call__(self, values: Tensor) -> Tensor:
        """The stitched representation (N, *target.shape), in the precision of `values`."""
        from modelstitch.stitches.assembly import assemble

        return assemble(self.at_places(values), self.geometry)

    def at_places(self, values: Tensor) -> list[Tensor]:
        """Outputs of each part before any upsampling, (N, ..., O)."""
        raise NotImplementedError

    @property
    def parameters(self) -> list[Tensor]:
        """The tensors that are trained."""
        return [tensor for part in self.parts for name, tensor in part._asdict().items() if name not in self.FIXED]

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The tensors that a file keeps, by name: `bias`, `extra.bias`."""
        return {
            f"{prefix}{name}": tensor
            for prefix, part in zip(NAMES, self.parts, strict=False)
            for name, tensor in part._asdict().items()
        }

    @classmethod
    def of(cls, geometry: Geometry, tensors: Mapping[str, Tensor]) -> Self:
        """The stitch with these `tensors`."""
        prefixes = NAMES[: len(geometry.parts)]
        parts = (cls.KIND(*(tensors[f"{prefix}{name}"] for name in cls.KIND._fields)) for prefix in prefixes)
        return cls(geometry, tuple(parts))
