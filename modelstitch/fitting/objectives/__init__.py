"""What stitches are made for: one file per objective, found by its name, without a permutation's number.

An objective's module has `fit(inputs)`, which gives a `Fit` of `FitInputs`;
`operations(settings, work, images)`, what it costs on so many training images; and `images_seen(settings, images)`, on
how many of them stitches are trained, repetitions counted.
"""

import importlib
from types import ModuleType

from modelstitch.config.stitches import kind_of


def module_name(name: str) -> str:
    """Of the module: `modelstitch.fitting.objectives.task`."""
    return f"{__name__}.{kind_of(name)}"


def objective_of(name: str) -> ModuleType:
    """The module of an objective."""
    return importlib.import_module(module_name(name))
