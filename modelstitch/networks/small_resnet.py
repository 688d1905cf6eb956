"""Small ResNets (arXiv 2303.11277): a stem, then basic blocks in four stages, then pooling and a linear head.

The name is `R` and four digits from 1 to 9, the numbers of basic blocks in the four stages. The stem is a 3x3
convolution of stride 1, for small images such as CIFAR's.
"""

import itertools
import re
from typing import NamedTuple

import torch
from torch import Tensor, nn

from modelstitch.errors import ModelstitchError
from modelstitch.identifiers import SMALL_RESNET

# The Small ResNets of the paper.
ARCHITECTURES = tuple("R" + "".join(digits) for digits in itertools.product("12", repeat=4))
STAGE_STRIDES = (1, 2, 2, 2)


class Block(NamedTuple):
    """One basic block: its channels and the stride of its first convolution."""

    in_channels: int
    channels: int
    stride: int


def blocks(architecture: str, width: int) -> list[Block]:
    """The basic blocks in order; stage s has `width * 2**s` channels, and its first block the stage's stride.

    Raises:
        ModelstitchError: if `architecture` is not `R` and four digits from 1 to 9.
    """
    if not re.fullmatch(SMALL_RESNET, architecture):
        raise ModelstitchError(f"{architecture!r} is no Small ResNet: expected R and four digits from 1 to 9 (R1122)")
    result = []
    channels = width
    for stage, (count, stride) in enumerate(zip(architecture[1:], STAGE_STRIDES, strict=True)):
        for index in range(int(count)):
            result.append(Block(channels, width * 2**stage, stride if index == 0 else 1))
            channels = width * 2**stage
    return result


class Stem(nn.Module):
    """3x3 convolution of stride 1, batch norm, ReLU."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, images: Tensor) -> Tensor:
        return torch.relu(self.norm(self.conv(images)))


class Subsampling(nn.Conv2d):
    """A 1x1 convolution with stride, computed on every stride-th row and column.

    oneDNN (3.12, AVX2, channels-last, 2 to 6 channels) crashes or hangs in the weights' gradient of a strided 1x1
    convolution. A frozen one has no such gradient, and uses the stride.
    """

    traced_whole = True

    def forward(self, maps: Tensor) -> Tensor:
        stride, _ = self.stride
        maps = maps[:, :, ::stride, ::stride].contiguous(memory_format=torch.channels_last)
        return nn.functional.conv2d(maps, self.weight, self.bias)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm around a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(block.in_channels, block.channels, 3, stride=block.stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(block.channels)
        self.conv2 = nn.Conv2d(block.channels, block.channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(block.channels)
        self.shortcut = None
        if block.stride != 1 or block.in_channels != block.channels:
            self.shortcut = Subsampling(block.in_channels, block.channels, 1, stride=block.stride, bias=False)
            self.shortcut_norm = nn.BatchNorm2d(block.channels)

    def forward(self, maps: Tensor) -> Tensor:
        shortcut = maps if self.shortcut is None else self.shortcut_norm(self.shortcut(maps))
        inner = torch.relu(self.norm1(self.conv1(maps)))
        return torch.relu(self.norm2(self.conv2(inner)) + shortcut)


class SmallResNet(nn.Module):
    """A Small ResNet: `layers` (the stem, then one per block) and the `head`; weights are He et al.'s, by fan-out.

    Args:
        architecture: its name, such as `R1122`.
        width: channels of the stem and the first stage.
        channels: channels of an image.
        classes: number of classes.
    """

    def __init__(self, architecture: str, width: int, channels: int, classes: int) -> None:
        super().__init__()
        structure = blocks(architecture, width)
        self.layers = nn.ModuleList([Stem(channels, width), *(BasicBlock(block) for block in structure)])
        self.head = nn.Linear(structure[-1].channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of normalised images (N, C, H, W)."""
        maps = images
        for layer in self.layers:
            maps = layer(maps)
        return self.head(maps.mean(dim=(2, 3)))
