"""Modules of one's own: a class or function in a Python file, `nets/mine.py:SmallViT`."""

import importlib.util
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from modelstitch.config.messages import nearest
from modelstitch.errors import ModelstitchError

CHANNELS, OUTPUTS = ("channels", "in_channels", "in_chans"), ("classes", "num_classes")


def build(name: str, arguments: Mapping[str, Any], channels: int, outputs: int) -> nn.Module:
    """Call the file's class or function with the arguments.

    If it takes `channels`, `in_channels` or `in_chans`, it also gets the number of an image's channels; if it takes
    `classes` or `num_classes`, the number of classes.

    Raises:
        ModelstitchError: if the file can't be read or run, lacks the class, or the class fails.
    """
    path, _, kind = name.rpartition(":")
    loaded = _loaded(Path(path))
    maker = getattr(loaded, kind, None)
    if maker is None:
        known = [key for key, value in vars(loaded).items() if inspect.isclass(value)]
        raise ModelstitchError(f"{path} has no {kind!r}{nearest(kind, known)}")
    accepted = inspect.signature(maker).parameters
    given = {
        key: value for keys, value in ((CHANNELS, channels), (OUTPUTS, outputs)) for key in keys if key in accepted
    }
    module = maker(**(given | arguments))
    if not isinstance(module, nn.Module):
        raise ModelstitchError(f"{name} gives a {type(module).__name__}: expected a torch.nn.Module")
    return module


def _loaded(path: Path) -> Any:
    """Import the file as a module, which can import files beside it."""
    if not path.is_file():
        raise ModelstitchError(f"{path}: no such file: expected a Python file, named from the root of the checkout")
    spec = importlib.util.spec_from_file_location(f"modelstitch_file_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module
