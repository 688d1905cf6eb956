"""Small ResNets as ordered lists of layers, and their files."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from modelstitch.errors import ModelstitchError
from modelstitch.files import replacing
from modelstitch.networks.architectures import Block, blocks


class Stem(nn.Module):
    """Layer 0: 3x3 convolution of stride 1, batch norm, ReLU."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, images: Tensor) -> Tensor:
        return torch.relu(self.norm(self.conv(images)))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm around a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(block.in_channels, block.channels, 3, stride=block.stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(block.channels)
        self.conv2 = nn.Conv2d(block.channels, block.channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(block.channels)
        self.stride = block.stride
        self.shortcut = None
        if block.stride != 1 or block.in_channels != block.channels:
            self.shortcut = nn.Conv2d(block.in_channels, block.channels, 1, bias=False)
            self.shortcut_norm = nn.BatchNorm2d(block.channels)

    def forward(self, maps: Tensor) -> Tensor:
        shortcut = maps
        if self.shortcut is not None:
            shortcut = self.shortcut_norm(self.shortcut(subsampled(maps, self.stride)))
        inner = torch.relu(self.norm1(self.conv1(maps)))
        return torch.relu(self.norm2(self.conv2(inner)) + shortcut)


def subsampled(maps: Tensor, stride: int) -> Tensor:
    """Every stride-th row and column of maps (N, C, H, W), channels-last: what a 1x1 convolution of that stride reads.

    Done apart from the convolution because oneDNN (3.12, AVX2, channels-last, 2 to 6 channels) crashes or never ends
    in the gradient of such a convolution's weights.
    """
    return maps[:, :, ::stride, ::stride].contiguous(memory_format=torch.channels_last)


class SmallResNet(nn.Module):
    """A Small ResNet (arXiv 2303.11277): `layers` (the stem, then one a block), and the `head`.

    `about` holds what is known of the weights: id, accuracy, data set.
    """

    def __init__(self, architecture: str, width: int, channels: int, classes: int) -> None:
        super().__init__()
        self.architecture, self.width, self.channels, self.classes = architecture, width, channels, classes
        structure = blocks(architecture, width)
        self.layers = nn.ModuleList([Stem(channels, width), *(BasicBlock(block) for block in structure)])
        self.head = nn.Linear(structure[-1].channels, classes)
        self.about: dict[str, Any] = {}

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of normalised images (N, C, H, W)."""
        maps = images
        for layer in self.layers:
            maps = layer(maps)
        return self.head(maps.mean(dim=(2, 3)))


def build(architecture: str, width: int, channels: int, classes: int, seed: int) -> SmallResNet:
    """A network with the initial weights that `seed` determines: He et al.'s normal, by fan-out, for convolutions.

    Raises:
        ModelstitchError: if `architecture` names no network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SmallResNet(architecture, width, channels, classes)
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network


def save(path: Path | str, network: SmallResNet, about: dict[str, Any]) -> None:
    """Write the weights as safetensors, with the shape of the network and `about` in the header."""
    header = {name: getattr(network, name) for name in ("architecture", "width", "channels", "classes")}
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    with replacing(path) as temporary:
        save_file(weights, temporary, metadata={"network": json.dumps(header), "about": json.dumps(about)})


def load(path: Path | str) -> SmallResNet:
    """The network of a file that `save` wrote, in evaluation mode on the CPU.

    Raises:
        ModelstitchError: if the file is missing, damaged or of another kind.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header, weights = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        network = SmallResNet(**json.loads(header["network"]))
        network.load_state_dict(weights)
        network.about = json.loads(header["about"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError, ModelstitchError) as error:
        raise ModelstitchError(f"{path}: is not a network of this package, or damaged ({error}): delete it") from error
    return network.eval()
