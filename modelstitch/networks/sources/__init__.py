"""Where modules come from: one file per source, with a function `build`, found by the name of the model.

`R1122` comes from `small_resnet`, `torchvision:vgg11_bn` from `torchvision`, `timm:vit_tiny_patch16_224` from `timm`,
and `nets/mine.py:SmallViT` from `file`. `build(name, arguments, channels, outputs)` returns a module for images with
`channels`, if the model has a choice, and with `outputs` classes. A library also has `published(name, arguments)`, the
model with its published weights (`Published`), and `published_size(name)`, the size of the images of their training.
"""

import importlib
import re
from types import ModuleType

from modelstitch.errors import ModelstitchError
from modelstitch.identifiers import SMALL_RESNET

EXPECTED = (
    "expected a Small ResNet (R and four digits from 1 to 9), torchvision:<name>, timm:<name>, "
    "or <file>.py:<class> of your own"
)


def source_of(model: str) -> tuple[str, str]:
    """The source of a model, and the model's name in it.

    Raises:
        ModelstitchError: if it belongs to none.
    """
    if re.fullmatch(SMALL_RESNET, model):
        return "small_resnet", model
    source, _, name = model.rpartition(":")
    if source in ("torchvision", "timm") and name:
        return source, name
    if source.endswith(".py") and name.isidentifier():
        return "file", model
    raise ModelstitchError(f"{model!r} is no model: {EXPECTED}")


def module_name(model: str) -> str:
    """Name of the source's module: `modelstitch.networks.sources.timm`."""
    return f"{__name__}.{source_of(model)[0]}"


def module_of(model: str) -> ModuleType:
    """The module of the source."""
    return importlib.import_module(module_name(model))
