"""A network's module from its name and arguments: what a study says of it, and what a file keeps of it."""

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
        model: its name: `R1122`, `torchvision:vgg11_bn`, `timm:vit_tiny_patch16_224`, `nets/mine.py:SmallViT`.
        outputs: how many classes it tells apart.
        channels: of an image, for modules that can choose.
        arguments: keyword arguments of the module.
        stem: `own`, or `small`: one for small images, as of `shrink_stem`.
    """

    model: str
    outputs: int
    channels: int = 3
    arguments: Mapping[str, Any] = field(default_factory=dict)
    stem: str = "own"

    def as_json(self) -> dict[str, Any]:
        """Plain values, from which `Blueprint(**values)` makes it again."""
        return asdict(self)


def build(blueprint: Blueprint, seed: int) -> nn.Module:
    """The module with the initial weights that `seed` determines.

    Raises:
        ModelstitchError: if the name is of no model, or it can't be built of these arguments.
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
    """How many channels the first convolution takes; `default` where there is none."""
    return next((part.in_channels for part in module.modules() if isinstance(part, nn.Conv2d)), default)


def size_of(architecture: Architecture, images: Sequence[int]) -> tuple[int, int]:
    """Height and width of the images that a network takes: its own, its library's weights', or those of the data."""
    if architecture.weights == LIBRARY and architecture.image_size is None:
        return module_of(architecture.model).published_size(source_of(architecture.model)[1])
    return architecture.size(images)


def shrink_stem(module: nn.Module, name: str) -> None:
    """Make a stem for large images one for small ones: no stride, 3 x 3, and no pooling before the next convolution.

    What CIFAR's ResNets have in the place of ImageNet's 7 x 7 convolution of stride 2 and its max pooling.

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
