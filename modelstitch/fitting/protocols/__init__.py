"""How stitches are trained: one file per protocol, found by its name in the study's section of an objective.

A protocol that takes steps has

- `begin(inputs, classes)`: the stitches of `FitInputs` before their first step, what moves them, and what teaches them
  (`Beginning`); `classes` are as in `StitchedPair`;
- `rate(settings, step, steps, steps_per_epoch)`: the learning rate of a step;
- `operations(settings, work, images, steps)`: what it costs beside the passes of the networks, for the forecast.

One in closed form has `solve(inputs)` (`Fit`) instead, and `image_operations(work)`. Each has
`memory_bytes(settings, work)`: what it holds beside the stitches.
"""

import importlib
from types import ModuleType


def module_name(name: str) -> str:
    """Of the module: `modelstitch.fitting.protocols.least_squares`."""
    return f"{__name__}.{name.replace('-', '_')}"


def protocol_of(name: str) -> ModuleType:
    """The module of a protocol."""
    return importlib.import_module(module_name(name))
