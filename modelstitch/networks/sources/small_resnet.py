"""Small ResNets by name: `R1122`."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from modelstitch.networks.small_resnet import SmallResNet


def build(name: str, arguments: Mapping[str, Any], channels: int, outputs: int) -> nn.Module:
    """A Small ResNet; `arguments` holds its `width`."""
    return SmallResNet(name, channels=channels, classes=outputs, **arguments)
