"""How stitches are trained: one module per protocol, of the same name as in the study's section of an objective.

A protocol that takes steps has

- `begin(inputs, classes)`: from `FitInputs` to a `Beginning`, the stitches before their first step, their optimiser and
  their teacher; `classes` are as in `StitchedPair`;
- `rate(settings, step, steps, steps_per_epoch)`: the learning rate of a step;
- `operations(settings, work, images, steps)`: its operations in addition to the networks' passes, for the forecast.

A protocol in closed form has `solve(inputs)`, which returns a `Fit`, and `image_operations(work)` instead. Each has
`memory_bytes(settings, work)`: the memory that it needs in addition to the stitches.
"""

import importlib
from types import ModuleType


def module_name(name: str) -> str:
    """The name of a protocol's module, such as `modelstitch.fitting.protocols.least_squares`."""
    return f"{__name__}.{name.replace('-', '_')}"


def protocol_of(name: str) -> ModuleType:
    """The module of a protocol."""
    return importlib.import_module(module_name(name))
