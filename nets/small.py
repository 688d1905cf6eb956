"""Small networks without residual connections or without convolutions, for studies on a laptop."""

from torch import Tensor, nn


class SmallVGG(nn.Sequential):
    """3x3 convolutions with batch norm in stages, each ended by a 2x2 max pooling; no shortcuts.

    As VGGs (Simonyan and Zisserman, 2014), but for one linear map at the end.

    Args:
        width: channels of the first stage, doubled at each later one.
        convolutions: how many of each stage.
        channels, classes: of images and logits.
    """

    def __init__(
        self, width: int = 16, convolutions: tuple[int, ...] = (1, 1, 2, 2), channels: int = 3, classes: int = 10
    ) -> None:
        parts: list[nn.Module] = []
        for stage, count in enumerate(convolutions):
            for _ in range(count):
                outputs = width * 2**stage
                parts += [nn.Conv2d(channels, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
                channels = outputs
            parts.append(nn.MaxPool2d(2))
        super().__init__(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


class MixerBlock(nn.Module):
    """Mixes tokens, then channels, each by two linear maps around a GELU and a shortcut."""

    def __init__(self, tokens: int, dimension: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dimension), nn.LayerNorm(dimension)
        self.tokens = nn.Sequential(nn.Linear(tokens, dimension // 2), nn.GELU(), nn.Linear(dimension // 2, tokens))
        self.channels = nn.Sequential(
            nn.Linear(dimension, 2 * dimension), nn.GELU(), nn.Linear(2 * dimension, dimension)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (N, T, C) of tokens (N, T, C)."""
        tokens = tokens + self.tokens(self.norm1(tokens).transpose(1, 2)).transpose(1, 2)
        return tokens + self.channels(self.norm2(tokens))


class SmallMixer(nn.Module):
    """An MLP-Mixer (Tolstikhin et al., 2021): patches as tokens, no convolution over them and no attention.

    Args:
        image: side of an image.
        patch: side of a patch.
        dimension: channels of a token.
        depth: blocks.
        channels, classes: of images and logits.
    """

    def __init__(
        self, image: int = 32, patch: int = 4, dimension: int = 64, depth: int = 4, channels: int = 3, classes: int = 10
    ) -> None:
        super().__init__()
        self.embed = nn.Conv2d(channels, dimension, patch, stride=patch)
        self.blocks = nn.Sequential(*(MixerBlock((image // patch) ** 2, dimension) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(dimension), nn.Linear(dimension, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, C, H, W)."""
        tokens = self.embed(images).flatten(2).transpose(1, 2)
        return self.head(self.norm(self.blocks(tokens)).mean(dim=1))
