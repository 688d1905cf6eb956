"""What a stitch can express: one file per family, found by its name in the study's `family`.

A family's module has

- `between(source, target, settings)`: the geometry from one representation to another, most often `Geometry.between`;
- `Stitch`: what a stitch of one cell is. Called with the sender's representation (N, *source.shape) it gives one that
  stands for the receiver's, (N, *target.shape). It has its `geometry`, the `parameters` that training moves, and the
  `tensors` that a file keeps; `Stitch.of(geometry, tensors)` makes it again.
- `initialise(geometry, seed, settings)`: one before its training.
- `solve(moments, cell, ridge, settings)`: the one of least mean squared error to the expected representation, as far as
  the family can express it, from the normal equations. Tensors that training doesn't move, such as a permutation, are
  taken from it whatever the start; such a family says `STATISTICS = True`.
- `numbers(geometry, settings)`, of its tensors; `operations(geometry, settings)`, of a forward pass for one image. Both
  are for the forecast, and need no torch. `capacity(geometry, settings)`, where it is less than the numbers: the
  dimension of what the family can express.

A family that is linear in what it sees has `linear`, the linear stitch that it equals; one whose own weights are those
has `maps` itself, by which Muon moves it as if what they see were whitened. Either has `at_places(values)`, what each
part gives before the upsampling: (N, ..., O).
"""

import importlib
from collections.abc import Callable, Mapping
from functools import cache
from types import ModuleType
from typing import Any

from modelstitch.networks.representations import Representation
from modelstitch.stitches.geometry import Cell, Geometry


def module_name(name: str) -> str:
    """Of the module: `modelstitch.stitches.families.linear`."""
    return f"{__name__}.{name.replace('-', '_')}"


@cache
def family_of(name: str) -> ModuleType:
    """The module of a family."""
    return importlib.import_module(module_name(name))


@cache
def geometry_of(family: Any) -> Callable[[Representation, Representation], Geometry]:
    """The geometry from one representation to another, as a family's section has it: found once for equal shapes."""
    return cache(lambda source, target: family_of(family.name).between(source, target, family))


def has_statistics(family: Any) -> bool:
    """Whether stitches of a family's section have tensors that are not trained, but taken from the normal equations."""
    return getattr(family_of(family.name), "STATISTICS", False)


def capacity(geometry: Geometry, family: Any) -> int:
    """Dimension of what a stitch of a family's section can express."""
    module = family_of(family.name)
    return getattr(module, "capacity", module.numbers)(geometry, family)


def on_device(stitches: Mapping[Cell, Any], device: str) -> dict[Cell, Any]:
    """The stitches on a device, without gradients."""
    return {
        cell: stitch.of(stitch.geometry, {name: each.detach().to(device) for name, each in stitch.tensors.items()})
        for cell, stitch in stitches.items()
    }
