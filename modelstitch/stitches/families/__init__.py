"""What a stitch can express: one file per family, found by its name in the study's `family`.

A family's module has

- `Stitch`: what a stitch of one cell is. Called with the sender's representation (N, *source.shape) it gives one that
  stands for the receiver's, (N, *target.shape). It has its `geometry`, the `parameters` that training moves, and the
  `tensors` that a file keeps; `Stitch.of(geometry, tensors)` makes it again.
- `initialise(geometry, seed, settings)`: one before its training.
- `solve(moments, cell, ridge, settings)`: the one of least mean squared error to the expected representation, as far as
  the family can express it, from the normal equations.

A family of linear maps also has `maps`, by which Muon moves it as if what they see were whitened, and
`at_places(values)`, what each part gives before the upsampling: (N, ..., O).
"""

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from modelstitch.stitches.geometry import Cell


def module_name(name: str) -> str:
    """Of the module: `modelstitch.stitches.families.linear`."""
    return f"{__name__}.{name.replace('-', '_')}"


def family_of(name: str) -> ModuleType:
    """The module of a family."""
    return importlib.import_module(module_name(name))


def on_device(stitches: Mapping[Cell, Any], device: str) -> dict[Cell, Any]:
    """The stitches on a device, without gradients."""
    return {
        cell: stitch.of(stitch.geometry, {name: each.detach().to(device) for name, each in stitch.tensors.items()})
        for cell, stitch in stitches.items()
    }
