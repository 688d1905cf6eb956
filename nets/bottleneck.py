"""A Small ResNet that is known to discard information: at one place few channels are all that goes on."""

from torch import Tensor, nn

from modelstitch.networks.small_resnet import SmallResNet, blocks


class Bottleneck(nn.Module):
    """A 1x1 convolution to few channels, and another back to as many as there were; no shortcut around them."""

    def __init__(self, channels: int, bottleneck: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(channels, bottleneck, 1, bias=False)
        self.narrow_norm = nn.BatchNorm2d(bottleneck)
        self.widen = nn.Conv2d(bottleneck, channels, 1, bias=False)
        self.widen_norm = nn.BatchNorm2d(channels)
        for convolution in (self.narrow, self.widen):
            nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (N, C, H, W) of maps (N, C, H, W), through as many channels as the bottleneck has."""
        return self.widen_norm(self.widen(self.narrow_norm(self.narrow(maps)))).relu()


class BottleneckResNet(SmallResNet):
    """A Small ResNet with a bottleneck behind one of its layers: a layer of its own, the one that follows.

    Args:
        bottleneck: channels that go through it.
        after: the layer that it follows; 0 is the stem.
        architecture, width: of the Small ResNet.
        channels, classes: of images and logits.
    """

    def __init__(
        self,
        bottleneck: int,
        after: int = 2,
        architecture: str = "R1111",
        width: int = 8,
        channels: int = 3,
        classes: int = 10,
    ) -> None:
        super().__init__(architecture, width, channels, classes)
        outputs = [width, *(block.channels for block in blocks(architecture, width))]
        self.layers.insert(after + 1, Bottleneck(outputs[after], bottleneck))
