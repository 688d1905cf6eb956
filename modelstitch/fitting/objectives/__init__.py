"""What stitches are made for: one file an objective, found by its name in the study's `stitches`.

An objective's module has `fit(sender, receiver, geometries, images, settings, seed, label)`, which gives a `Fit`, and
`operations(...)`, what it costs (planning).
"""

import importlib
from types import ModuleType


def objective_of(name: str) -> ModuleType:
    """The module of an objective."""
    return importlib.import_module(f"modelstitch.fitting.objectives.{name.replace('-', '_')}")
