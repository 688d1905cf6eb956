"""Residual networks by name: how many layers, and the shape of each one's output.

`R` and four digits from 1 to 9: the number of basic blocks in each of four stages. Layer 0 is the stem, a 3x3
convolution of stride 1 as CIFAR's images want, then one layer a block; -1 is the input image (arXiv 2303.11277).
"""

import itertools
import re
from typing import NamedTuple

from modelstitch.errors import ModelstitchError

PATTERN = "R[1-9]{4}"
ALIASES = {"ResNet18": "R2222", "ResNet34": "R3463"}  # of arXiv 1512.03385, but for the stem
EXPECTED = "expected R and four digits from 1 to 9 (R1122)"
# The Small ResNets of the paper.
ARCHITECTURES = tuple("R" + "".join(digits) for digits in itertools.product("12", repeat=4))
STAGE_STRIDES = (1, 2, 2, 2)


class Shape(NamedTuple):
    """Channels, height and width of a feature map."""

    channels: int
    height: int
    width: int


class Block(NamedTuple):
    """One basic block: its channels and the stride of its first convolution."""

    in_channels: int
    channels: int
    stride: int


def canonical(name: str) -> str:
    """The name that ids hold: `R3463` for `ResNet34`; any other name as it is."""
    return ALIASES.get(name, name)


def block_counts(architecture: str) -> tuple[int, ...]:
    """Number of basic blocks in each of the four stages.

    Raises:
        ModelstitchError: if `architecture` is not `R` and four digits from 1 to 9.
    """
    if not re.fullmatch(PATTERN, architecture):
        raise ModelstitchError(f"{architecture!r} is not an architecture: {EXPECTED}")
    return tuple(int(digit) for digit in architecture[1:])


def count_layers(architecture: str) -> int:
    """Number of layers, the stem included and the head not: 9 for R2222, 17 for R3463."""
    return 1 + sum(block_counts(architecture))


def blocks(architecture: str, width: int) -> list[Block]:
    """The basic blocks in order; stage s has `width * 2**s` channels, and its first block the stage's stride."""
    result = []
    channels = width
    for stage, (count, stride) in enumerate(zip(block_counts(architecture), STAGE_STRIDES, strict=True)):
        for index in range(count):
            result.append(Block(channels, width * 2**stage, stride if index == 0 else 1))
            channels = width * 2**stage
    return result


def layer_shapes(architecture: str, width: int, image: tuple[int, int, int]) -> list[Shape]:
    """Shape (channels, height, width) of every layer's output for an image of shape (C, H, W)."""
    _, height, breadth = image
    shapes = [Shape(width, height, breadth)]
    for block in blocks(architecture, width):
        height, breadth = -(-height // block.stride), -(-breadth // block.stride)
        shapes.append(Shape(block.channels, height, breadth))
    return shapes


def shapes_from_image(architecture: str, width: int, image: tuple[int, int, int]) -> dict[int, Shape]:
    """Shape of every layer's output, by layer, and of the image (C, H, W) as that of layer -1."""
    return dict(enumerate([Shape(*image), *layer_shapes(architecture, width, image)], start=-1))
