"""Where modules come from: one file per source, with a function `build`, found by the name of the model.

`R1122` is of `small_resnet`, `torchvision:vgg11_bn` of `torchvision`, `timm:vit_tiny_patch16_224` of `timm`, and
`nets/mine.py:SmallViT` of `file`. `build(name, arguments, channels, outputs)` gives a module for images of so many
channels, where it can choose, and logits of so many classes. A library has `published(name, arguments)` too, its own
weights (`Published`), and `published_size(name)`, the size of the images that they were trained on.
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
        ModelstitchError: if it is of none.
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
    """Of the source's module: `modelstitch.networks.sources.timm`."""
    return f"{__name__}.{source_of(model)[0]}"


def module_of(model: str) -> ModuleType:
    """The source's module of this package."""
    return importlib.import_module(module_name(model))
