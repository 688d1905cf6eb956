"""CIFAR-10 networks that others trained and published, as their weights name them (github.com/renyi-ai/drfrankenstein).

Those of Csiszarik et al., "Similarity and Matching of Neural Network Representations" (NeurIPS 2021): what
`config/foreign.yaml` stitches.
"""

import torch
from torch import Tensor, nn


class Tiny10(nn.Module):
    """Eight convolutions in a row, none padded and no shortcut: maps 30, 28, 13, 11, 9, 4, 2 and 2 pixels wide."""

    CHANNELS = (16, 16, 32, 32, 32, 64, 64, 64)
    STRIDES = (1, 1, 2, 1, 1, 2, 1, 1)

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        inputs = 3
        for number, (channels, stride) in enumerate(zip(self.CHANNELS, self.STRIDES, strict=True), start=1):
            kernel = 1 if number == 8 else 3
            setattr(self, f"conv{number}", nn.Conv2d(inputs, channels, kernel, stride=stride))
            setattr(self, f"bn{number}", nn.BatchNorm2d(channels))
            inputs = channels
        self.fc = nn.Linear(inputs, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, 3, 32, 32)."""
        maps = images
        for number in range(1, len(self.CHANNELS) + 1):
            convolution, norm = getattr(self, f"conv{number}"), getattr(self, f"bn{number}")
            maps = torch.relu(norm(convolution(maps)))
        return self.fc(maps.mean(dim=(2, 3)))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut, as in torchvision's ResNets."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = None
        if stride != 1 or inputs != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, channels, 1, stride=stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, maps: Tensor) -> Tensor:
        shortcut = maps if self.downsample is None else self.downsample(maps)
        inner = torch.relu(self.bn1(self.conv1(maps)))
        return torch.relu(self.bn2(self.conv2(inner)) + shortcut)


class ResNet20(nn.Module):
    """CIFAR's ResNet of nine blocks in three stages of 16, 32 and 64 channels (He et al., 2015)."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.layer1, self.layer2, self.layer3 = (
            nn.Sequential(
                *(
                    BasicBlock(inputs if index == 0 else channels, channels, stride if index == 0 else 1)
                    for index in range(3)
                )
            )
            for inputs, channels, stride in ((16, 16, 1), (16, 32, 2), (32, 64, 2))
        )
        self.fc = nn.Linear(64, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, 3, 32, 32)."""
        maps = torch.relu(self.bn1(self.conv1(images)))
        maps = self.layer3(self.layer2(self.layer1(maps)))
        return self.fc(maps.mean(dim=(2, 3)))
