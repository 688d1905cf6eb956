"""What a job is expected to need: floating-point operations, memory and time, from shapes alone.

Operations are counted (a multiplication and an addition are two), memory and time are set high on purpose: a scheduler
kills what asks for too little.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from modelstitch.architectures import Block, Shape, blocks, count_layers, layer_shapes
from modelstitch.config import Study
from modelstitch.grouping import CPU_MAP_BYTES
from modelstitch.identifiers import NetworkId

MIB = 2**20
# (channels, height, width), training and test images, classes; an image folder is not known before it was read.
SIZES = {
    "digits": ((1, 32, 32), 1437, 360, 10),
    "cifar10": ((3, 32, 32), 50_000, 10_000, 10),
    "cifar100": ((3, 32, 32), 50_000, 10_000, 100),
    "imagefolder": ((3, 32, 32), 50_000, 10_000, 100),
}
# Slowest seen, not typical: one old core in float32, narrow networks; a small GPU.
FLOPS_PER_SECOND_OF_CORE = 1e10
FLOPS_PER_SECOND_OF_GPU = 1e12
PROCESS_MB = {"cpu": 1000, "auto": 1000, "cuda": 4000}
# The largest map of a group on the CPU (the engine's rule), and how many such maps are alive in a backward pass.
GROUP_MB = CPU_MAP_BYTES // MIB
MAPS_ALIVE = 40
# Wide convolutions (`winograd`): 36 weights in float32 for each of two directions, and 9 in float64.
WINOGRAD_CHANNELS, WINOGRAD_BYTES = 128, 2 * 36 * 4 + 9 * 8


def layer_flops(architecture: str, width: int, image: tuple[int, int, int]) -> list[int]:
    """Operations of every layer's forward pass for one image (C, H, W): its convolutions."""
    shapes = layer_shapes(architecture, width, image)
    stem = _convolution(3, image[0], shapes[0])
    return [stem] + [
        _convolution(3, block.in_channels, shape)
        + _convolution(3, block.channels, shape)
        + (_convolution(1, block.in_channels, shape) if _has_shortcut(block) else 0)
        for block, shape in zip(blocks(architecture, width), shapes[1:], strict=True)
    ]


def stitch_flops(source: Shape, target: Shape) -> int:
    """Operations of a stitch's forward pass for one image: k x k with stride k, or 1 x 1 before upsampling."""
    kernel = max(1, math.ceil(source.height / target.height))
    height, width = min(source.height, target.height), min(source.width, target.width)
    return _convolution(kernel, source.channels, Shape(target.channels, height, width))


def pair_flops(
    sender: str,
    receiver: str,
    width: int,
    image: tuple[int, int, int],
    sender_layers: Sequence[int],
    receiver_layers: Sequence[int],
) -> int:
    """Operations to train all cells of a pair of architectures on one image, the sender's pass shared.

    A frozen suffix costs a forward pass and as much again for the gradient of its input; a stitch, whose input needs
    no gradient, a forward pass and the gradient of its weights.
    """
    sender_shapes, receiver_shapes = (layer_shapes(name, width, image) for name in (sender, receiver))
    shared = sum(layer_flops(sender, width, image)[: max(sender_layers) + 1])
    suffixes = layer_flops(receiver, width, image)
    cells = sum(
        2 * sum(suffixes[j + 1 :]) + 2 * stitch_flops(sender_shapes[i], receiver_shapes[j])
        for j in receiver_layers
        for i in sender_layers
    )
    return shared + cells


@dataclass(frozen=True)
class Costs:
    """Memory (MB) and time (minutes) of a study's jobs."""

    study: Study

    def dataset_mb(self) -> int:
        """Making the data set's file."""
        return PROCESS_MB["cpu"] + math.ceil(6 * self._images_mb)

    def joining_mb(self) -> int:
        """Joining the blocks of a pair."""
        return PROCESS_MB["cpu"] + self._stitches_mb()

    def network_mb(self) -> int:
        """Training the deepest network, or evaluating it."""
        batch = self.study.networks.training.batch
        maps = max(
            sum(math.prod(shape) for shape in self._shapes(architecture))
            for architecture in self.study.networks.architectures
        )
        # Twelve maps a layer at most: outputs, what batch norm and ReLU keep, and gradients.
        return self._base_mb() + math.ceil(12 * 4 * max(batch, 500) * maps / MIB)

    def network_minutes(self) -> int:
        """The deepest network's training."""
        _, train_images, test_images, _ = self._sizes
        flops = max(
            sum(layer_flops(architecture, self.study.networks.width, self._sizes[0]))
            for architecture in self.study.networks.architectures
        )
        images = self.study.networks.training.epochs * (3 * train_images + test_images)
        return self._minutes(flops * images)

    def pair_mb(self, sender: str) -> int:
        """All cells of a pair: the sender's maps of a batch, and a group in the receiver."""
        batch = max(settings.batch for _, settings in self.study.stitches)
        maps = sum(math.prod(shape) for shape in self._shapes(NetworkId.parse(sender).architecture))
        group = GROUP_MB * MAPS_ALIVE if self.study.jobs.device != "cuda" else 4000
        maps_mb = math.ceil(2 * 4 * max(batch, 500) * maps / MIB)
        return self._base_mb() + group + self._stitches_mb() + self._winograd_mb() + maps_mb

    def pair_minutes(
        self, sender: str, receiver: str, sender_layers: Sequence[int], receiver_layers: Sequence[int]
    ) -> int:
        """These cells of a pair, trained and evaluated."""
        image, train_images, test_images, _ = self._sizes
        names = (NetworkId.parse(network).architecture for network in (sender, receiver))
        flops = pair_flops(*names, self.study.networks.width, image, sender_layers, receiver_layers)
        epochs = max(settings.epochs for _, settings in self.study.stitches)
        return self._minutes(flops * (epochs * train_images + test_images))

    @property
    def _sizes(self) -> tuple[tuple[int, int, int], int, int, int]:
        return SIZES[self.study.dataset.source]

    @property
    def _images_mb(self) -> float:
        image, train_images, test_images, _ = self._sizes
        return (train_images + test_images) * math.prod(image) / MIB

    def _shapes(self, architecture: str) -> list[Shape]:
        return layer_shapes(architecture, self.study.networks.width, self._sizes[0])

    def _base_mb(self) -> int:
        return PROCESS_MB[self.study.jobs.device] + math.ceil(3 * self._images_mb)

    def _stitches_mb(self) -> int:
        """Weight, gradient and momentum of all stitches between the deepest networks, and a copy to write."""
        architecture = max(self.study.networks.architectures, key=count_layers)
        shapes = self._shapes(architecture)
        weights = sum(
            source.channels * target.channels * max(1, source.height // target.height) ** 2
            for source in shapes
            for target in shapes
        )
        return math.ceil(4 * 4 * weights / MIB)

    def _winograd_mb(self) -> int:
        """Weights of the widest frozen networks, sender and receiver: transformed for both directions, and exact."""
        weights = max(
            sum(
                block.channels**2 * (1 if _has_shortcut(block) else 2)
                for block in blocks(architecture, self.study.networks.width)
                if block.channels >= WINOGRAD_CHANNELS
            )
            for architecture in self.study.networks.architectures
        )
        return math.ceil(2 * WINOGRAD_BYTES * weights / MIB)

    def _minutes(self, flops: float) -> int:
        cpu = FLOPS_PER_SECOND_OF_CORE * self.study.jobs.threads
        speed = FLOPS_PER_SECOND_OF_GPU if self.study.jobs.device == "cuda" else cpu
        return 10 + math.ceil(flops / speed / 60)


def _convolution(kernel: int, in_channels: int, output: Shape) -> int:
    return 2 * kernel**2 * in_channels * math.prod(output)


def _has_shortcut(block: Block) -> bool:
    return block.stride != 1 or block.in_channels != block.channels
