"""Models of timm by name, and their published weights; timm is an optional dependency."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from torch import nn

from modelstitch.config.messages import nearest
from modelstitch.errors import ModelstitchError
from modelstitch.networks.pretrained import Published


def build(name: str, arguments: Mapping[str, Any], channels: int, outputs: int) -> nn.Module:
    """A model with random weights.

    Raises:
        ModelstitchError: if timm is not installed, or has no such model.
    """
    return _timm(name).create_model(name, pretrained=False, **({"num_classes": outputs} | arguments))


def published(name: str, arguments: Mapping[str, Any]) -> Published:
    """The model with timm's weights, downloaded unless they are in the cache of Hugging Face's hub.

    Its `classes` are None where timm does not name them.

    Raises:
        ModelstitchError: if it has none, or they can't be downloaded.
    """
    timm, config = _timm(name), _config(name)
    try:
        module = timm.create_model(name, pretrained=True, **arguments)
    except Exception as error:
        source = config.hf_hub_id or config.url
        raise ModelstitchError(
            f"the weights of timm's {name} can't be downloaded ({error}): fetch {source} where there is a network, and "
            "give the file as weights, or copy the cache of huggingface_hub (HF_HOME) from there"
        ) from error
    return Published(module.state_dict(), {}, config.mean, config.std, _categories(config))


def published_size(name: str) -> tuple[int, int]:
    """Height and width of the images that timm's weights were trained on.

    Raises:
        ModelstitchError: if it has none.
    """
    _, height, width = _config(name).input_size
    return height, width


def _config(name: str) -> Any:
    config = _timm(name).get_pretrained_cfg(name)
    if config is None or not config.has_weights:
        raise ModelstitchError(f"timm has no weights of {name!r}: give a file as weights")
    return config


def _categories(config: Any) -> list[str] | None:
    if config.num_classes != 1000:
        return None
    # timm names no classes of its own; its 1,000 are ImageNet's in the order of torchvision.
    import torchvision.models

    return torchvision.models.ResNet18_Weights.DEFAULT.meta["categories"]


def _timm(name: str) -> ModuleType:
    try:
        import timm
    except ImportError as error:
        raise ModelstitchError(f"timm:{name}: timm is not installed: pip install timm, or modelstitch[timm]") from error
    if not timm.is_model(name):
        raise ModelstitchError(f"timm has no model {name!r}{nearest(name, timm.list_models())}")
    return timm
