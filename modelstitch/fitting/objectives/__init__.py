"""What stitches are trained for: one module per objective, of the same name without the number of a permutation.

An objective's module has

- `fit(inputs)`: a `Fit` from `FitInputs`;
- `operations(settings, work, images)`: its cost on a training set of `images` images;
- `images_seen(settings, images)`: the number of images that stitches are trained on, repetitions counted;
- where its steps have another error than the cross-entropy, `alignment(receiver)`: an `Alignment`.
"""

import importlib
from types import ModuleType

from modelstitch.config.stitches import kind_of


def module_name(name: str) -> str:
    """The name of an objective's module, such as `modelstitch.fitting.objectives.task`."""
    return f"{__name__}.{kind_of(name)}"


def objective_of(name: str) -> ModuleType:
    """The module of an objective."""
    return importlib.import_module(module_name(name))
