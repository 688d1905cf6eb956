"""Builds a network's module from its name and arguments, as a study gives them and a file keeps them."""

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import nn

from modelstitch.config.networks import LIBRARY, Architecture
from modelstitch.errors import ModelstitchError, first_line
from modelstitch.networks.sources import module_of, source_of
from modelstitch.seeds import drawing


@dataclass(frozen=True)
class Blueprint:
    """How a module is built.

    Attributes:
        model: name of the model: `R1122`, `torchvision:vgg11_bn`, `timm:vit_tiny_patch16_224`, `nets/mine.py:SmallViT`.
        outputs: number of classes.
        channels: channels of an image, for models that have a choice.
        arguments: keyword arguments of the module.
        stem: `own`, or `small` for the stem that `shrink_stem` makes.
    """

    model: str
    outputs: int
    channels: int = 3
    arguments: Mapping[str, Any] = field(default_factory=dict)
    stem: str = "own"

    def as_json(self) -> dict[str, Any]:
        """Plain values; `Blueprint(**values)` is the same blueprint again."""
        return asdict(self)


def build(blueprint: Blueprint, seed: int) -> nn.Module:
    """Build the module with initial weights from `seed`.

    Raises:
        ModelstitchError: if there is no model of this name, or it can't be built with these arguments.
    """
    source, name = module_of(blueprint.model), source_of(blueprint.model)[1]
    with drawing(seed):
        try:
            module = source.build(name, blueprint.arguments, blueprint.channels, blueprint.outputs)
        except ModelstitchError:
            raise
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            raise ModelstitchError(
                f"{blueprint.model} can't be built of {dict(blueprint.arguments)}: {first_line(error)} "
                f"({place.filename}:{place.lineno})"
            ) from error
        if blueprint.stem == "small":
            shrink_stem(module, blueprint.model)
    return module


def input_channels(module: nn.Module, default: int) -> int:
    """Input channels of the first convolution; `default` if there is none."""
    return next((part.in_channels for part in module.modules() if isinstance(part, nn.Conv2d)), default)


def size_of(architecture: Architecture, images: Sequence[int]) -> tuple[int, int]:
    """Height and width of a network's images: those of its settings, of its library's weights, or of the data set."""
    if architecture.weights == LIBRARY and architecture.image_size is None:
        return module_of(architecture.model).published_size(source_of(architecture.model)[1])
    return architecture.size(images)


def shrink_stem(module: nn.Module, name: str) -> None:
    """Replace the stem by one for small images: a 3 x 3 convolution without stride, and no pooling behind it.

    ResNets for CIFAR have this instead of ImageNet's 7 x 7 convolution of stride 2 and max pooling.

    Raises:
        ModelstitchError: if the module begins with anything but a convolution of overlapping patches.
    """
    parts = [(path, part) for path, part in module.named_modules() if isinstance(part, (nn.Conv2d, nn.MaxPool2d))]
    if not parts or not isinstance(parts[0][1], nn.Conv2d) or parts[0][1].kernel_size <= parts[0][1].stride:
        raise ModelstitchError(f"{name}: stem: small is for a first convolution whose patches overlap: expected own")
    (path, convolution), *rest = parts
    bias = convolution.bias is not None
    small = nn.Conv2d(convolution.in_channels, convolution.out_channels, 3, padding=1, bias=bias)
    nn.init.kaiming_normal_(small.weight, mode="fan_out", nonlinearity="relu")
    module.set_submodule(path, small)
    if rest and isinstance(rest[0][1], nn.MaxPool2d):
        module.set_submodule(rest[0][0], nn.Identity())
