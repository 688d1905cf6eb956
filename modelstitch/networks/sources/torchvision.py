"""Models of torchvision by name, a builder (`vgg11_bn`) or a class (`VisionTransformer`), and published weights."""

import inspect
import urllib.error
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torchvision.models
from torch import nn

from modelstitch.config.messages import nearest
from modelstitch.errors import ModelstitchError
from modelstitch.networks.pretrained import Published


def build(name: str, arguments: Mapping[str, Any], channels: int, outputs: int) -> nn.Module:
    """A model with random weights, without auxiliary heads.

    Raises:
        ModelstitchError: if torchvision has no such model, or it does not take the arguments.
    """
    maker = _maker(name)
    accepted = inspect.signature(_class_of(maker)).parameters
    chosen = {"aux_logits": False, "init_weights": True}
    chosen = {key: value for key, value in chosen.items() if key in accepted} | {"num_classes": outputs} | arguments
    return maker(**chosen)


def published(name: str, arguments: Mapping[str, Any]) -> Published:
    """The model with torchvision's weights, downloaded unless they are in torch's cache.

    Raises:
        ModelstitchError: if it has none, or they can't be downloaded (names the file and its place).
    """
    weights = _weights(name)
    preset = weights.transforms()
    try:
        module = torchvision.models.get_model(name, weights=weights, **arguments)
    except (urllib.error.URLError, OSError, RuntimeError) as error:
        place = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
        raise ModelstitchError(
            f"the weights of torchvision's {name} can't be downloaded ({getattr(error, 'reason', error)}): fetch "
            f"{weights.url} where there is a network, and put it at {place}"
        ) from error
    chosen = {key: getattr(module, key) for key in ("transform_input",) if hasattr(module, key)}
    return Published(module.state_dict(), chosen, preset.mean, preset.std, weights.meta["categories"])


def published_size(name: str) -> tuple[int, int]:
    """Height and width of the images that torchvision's weights were trained on.

    Raises:
        ModelstitchError: if it has none.
    """
    size = _weights(name).transforms().crop_size
    return (size[0], size[-1]) if isinstance(size, (list, tuple)) else (size, size)


def _weights(name: str) -> Any:
    _maker(name)
    try:
        return torchvision.models.get_model_weights(name)["DEFAULT"]
    except (KeyError, ValueError) as error:
        raise ModelstitchError(f"torchvision has no weights of {name!r}: give a file as weights") from error


def _maker(name: str) -> Any:
    known = [*torchvision.models.list_models(module=torchvision.models), *_classes()]
    if name in _classes():
        return getattr(torchvision.models, name)
    if name in known:
        return torchvision.models.get_model_builder(name)
    raise ModelstitchError(f"torchvision has no classification model {name!r}{nearest(name, known)}")


def _classes() -> list[str]:
    return [
        name
        for name, value in vars(torchvision.models).items()
        if inspect.isclass(value) and issubclass(value, nn.Module)
    ]


def _class_of(maker: Any) -> Any:
    """The class that a builder returns, which takes its keywords in the end."""
    returned = inspect.signature(maker).return_annotation
    return returned if inspect.isclass(returned) and not inspect.isclass(maker) else maker
