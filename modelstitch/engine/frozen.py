"""Frozen networks: batch norm folded into the convolutions, no gradients for weights, channels-last.

What a stitch is trained against never changes, so this is done once and every pass gains by it.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from modelstitch.engine.winograd import WinogradConvolution
from modelstitch.networks.architectures import Shape, shapes_from_image
from modelstitch.networks.small_resnet import BasicBlock, SmallResNet, Stem


class FrozenBlock(nn.Module):
    """A basic block whose batch norms are folded away; ReLU and addition in place.

    Args:
        block: in float64.
        winograd: whether wide convolutions take fewer multiplications, which float32 on a CPU gains by.
    """

    def __init__(self, block: BasicBlock, winograd: bool) -> None:
        super().__init__()
        self.conv1, self.conv2 = (
            WinogradConvolution(convolution) if winograd and WinogradConvolution.suits(convolution) else convolution
            for convolution in (
                fuse_conv_bn_eval(block.conv1, block.norm1),
                fuse_conv_bn_eval(block.conv2, block.norm2),
            )
        )
        self.shortcut = None
        if block.shortcut is not None:
            self.shortcut = fuse_conv_bn_eval(block.shortcut, block.shortcut_norm)
            self.shortcut.stride = (block.stride, block.stride)

    def forward(self, maps: Tensor) -> Tensor:
        shortcut = maps if self.shortcut is None else self.shortcut(maps)
        return self.conv2(F.relu_(self.conv1(maps))).add_(shortcut).relu_()


class FrozenStem(nn.Module):
    """The stem with its batch norm folded away."""

    def __init__(self, stem: Stem) -> None:
        super().__init__()
        self.conv = fuse_conv_bn_eval(stem.conv, stem.norm)

    def forward(self, images: Tensor) -> Tensor:
        return F.relu_(self.conv(images))


class FrozenNetwork(nn.Module):
    """A network in evaluation mode that can be entered after any layer.

    Args:
        network: the network; it is left as it is.
        dtype: of weights and activations; the folding itself is done in float64.
    """

    def __init__(self, network: SmallResNet, dtype: torch.dtype = torch.float32, device: str = "cpu") -> None:
        super().__init__()
        exact = SmallResNet(network.architecture, network.width, network.channels, network.classes)
        exact.load_state_dict(network.state_dict())
        exact.double().eval()
        self.architecture, self.width, self.channels = network.architecture, network.width, network.channels
        self.classes = network.classes
        stem, *rest = exact.layers
        winograd = dtype == torch.float32 and device == "cpu"
        self.layers = nn.ModuleList(
            [FrozenStem(cast(Stem, stem)), *(FrozenBlock(cast(BasicBlock, block), winograd) for block in rest)]
        )
        self.head = exact.head
        self.requires_grad_(False)
        self.to(device=device, dtype=dtype, memory_format=torch.channels_last)

    def shapes(self, image: tuple[int, int, int]) -> dict[int, Shape]:
        """Shape of every layer's output, by layer, and of the image (C, H, W) as that of layer -1."""
        return shapes_from_image(self.architecture, self.width, image)

    @torch.no_grad()
    def representations(self, images: Tensor, last: int | None = None) -> dict[int, Tensor]:
        """Outputs (N, C, H, W) of layers `0 .. last`, by default all; layer -1 is the normalised images."""
        outputs = {-1: images}
        for index, layer in enumerate(self.layers[: None if last is None else last + 1]):
            outputs[index] = layer(outputs[index - 1])
        return outputs

    def suffix(self, layer: int, maps: Tensor) -> Tensor:
        """Logits (N, classes) of maps (N, C, H, W) that stand for the output of `layer` (-1: of images)."""
        for block in self.layers[layer + 1 :]:
            maps = block(maps)
        return self.head(maps.mean(dim=(2, 3)))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of normalised images (N, C, H, W)."""
        return self.suffix(-1, images)
