"""What a stitch can express: one file per family, found by its name in the study's `family`.

A family's module has

- `between(source, target, settings)`: the geometry from one representation to another, most often `Geometry.between`;
- `Stitch`: the stitch of one cell. Called with the sender's representation (N, *source.shape), it returns the stitched
  one, (N, *target.shape). It has its `geometry`, the `parameters` that are trained, and the `tensors` that a file
  keeps; `Stitch.of(geometry, tensors)` makes it from these.
- `initialise(geometry, seed, settings)`: a stitch before its training.
- `solve(moments, cell, ridge, settings)`: from the normal equations, the stitch with the least mean squared error to
  the expected representation that the family can express. Tensors that are not trained, such as a permutation, are
  taken from it with any start; such a family has `STATISTICS = True`.
- `numbers(geometry, settings)`: how many numbers its tensors hold; `operations(geometry, settings)`: operations of a
  forward pass for one image. Both are for the forecast, and need no torch.
- `capacity(geometry, settings)`, if it is less than `numbers`: the dimension of the maps that the family can express.

The stitch of a linear family also has `linear`, the equal linear stitch. If its own weights are those of the linear
map, it has `maps`: Muon then updates them as if the inputs were whitened. Either has `at_places(values)`, the outputs
of each part before the upsampling, (N, ..., O).
"""

import importlib
from collections.abc import Callable, Mapping
from functools import cache
from types import ModuleType
from typing import Any

from modelstitch.networks.representations import Representation
from modelstitch.stitches.geometry import Cell, Geometry


def module_name(name: str) -> str:
    """Name of a family's module: `modelstitch.stitches.families.linear`."""
    return f"{__name__}.{name.replace('-', '_')}"


@cache
def family_of(name: str) -> ModuleType:
    """The module of a family."""
    return importlib.import_module(module_name(name))


@cache
def geometry_of(family: Any) -> Callable[[Representation, Representation], Geometry]:
    """A function that returns a family's geometry between two representations, computed once for equal shapes."""
    return cache(lambda source, target: family_of(family.name).between(source, target, family))


def has_statistics(family: Any) -> bool:
    """Whether a family has tensors that are not trained, but taken from the normal equations."""
    return getattr(family_of(family.name), "STATISTICS", False)


def capacity(geometry: Geometry, family: Any) -> int:
    """Dimension of the maps that a stitch of a family can express."""
    module = family_of(family.name)
    return getattr(module, "capacity", module.numbers)(geometry, family)


def on_device(stitches: Mapping[Cell, Any], device: str) -> dict[Cell, Any]:
    """The stitches on a device, without gradients."""
    return {
        cell: stitch.of(stitch.geometry, {name: each.detach().to(device) for name, each in stitch.tensors.items()})
        for cell, stitch in stitches.items()
    }
