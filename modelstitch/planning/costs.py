"""What a job is expected to need: floating-point operations, bytes on disk, memory and time, from shapes alone.

Operations and bytes are counted (a multiplication and an addition are two), memory and time are set high on purpose: a
scheduler kills what asks for too little. `modelstitch.planning.forecast` measures the time on a machine.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from modelstitch.config import FastStitches, LeastSquares, PaperStitches, Study
from modelstitch.data.datasets import Sizes
from modelstitch.engine.grouping import CPU_MAP_BYTES
from modelstitch.fitting.schedule import count_steps
from modelstitch.identifiers import NetworkId
from modelstitch.networks.architectures import Block, Shape, blocks, count_layers, layer_shapes, shapes_from_image

MIB = 2**20


# An image folder is not known before it was read.
SIZES = {
    "digits": Sizes((1, 32, 32), 1437, 360, 10),
    "cifar10": Sizes((3, 32, 32), 50_000, 10_000, 10),
    "cifar100": Sizes((3, 32, 32), 50_000, 10_000, 100),
    "imagefolder": Sizes((3, 32, 32), 50_000, 10_000, 100),
}
# Slowest expected, not typical: one old core in float32, which narrow networks leave idle half the time; a small GPU.
# One busy AVX2 core did 9e9 at width 4 and batch 16, and 4e10 at width 8 and batch 32.
FLOPS_PER_SECOND_OF_CORE_AND_CHANNEL, FLOPS_PER_SECOND_OF_CORE = 1e9, 2e10
FLOPS_PER_SECOND_OF_GPU = 1e12
# Files: what a tensor, a record, and a record's column take beside their numbers. A prediction takes some nine tenths
# of its bits once it is compressed (CIFAR-10, trained pairs; random ones less).
TENSOR_BYTES, RECORD_BYTES, COLUMN_BYTES, COMPRESSED = 100, 7000, 6300, 0.9
# Tables and matrices: a cell; figures: a pair's heat map and its share of the others, in one format.
CELL_TABLE_BYTES, FIGURE_BYTES = 280, 60_000
PROCESS_MB = {"cpu": 1000, "auto": 1000, "cuda": 4000}
# The largest map of a group on the CPU (the engine's rule), and how many such maps are alive in a backward pass.
GROUP_MB = CPU_MAP_BYTES // MIB
MAPS_ALIVE = 40
# Square matrices in float64 while the largest covariance is inverted.
SQUARES_ALIVE = 6
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
    kernel = _kernel(source, target)
    height, width = min(source.height, target.height), min(source.width, target.width)
    return 2 * math.prod(kernel) * source.channels * target.channels * height * width


def muon_flops(source: Shape, target: Shape) -> int:
    """Operations of a step that moves a stitch by Muon (`muon`).

    A product with the square matrix of its inputs, two between that and its outputs, and 17 of the outputs' own.
    """
    inputs = source.channels * math.prod(_kernel(source, target))
    outputs = target.channels
    return 2 * outputs * inputs * (inputs + 1) + 4 * outputs**2 * (inputs + 1) + 2 * 17 * outputs**3


def pair_flops(
    sender: str,
    receiver: str,
    width: int,
    image: tuple[int, int, int],
    sender_layers: Sequence[int],
    receiver_layers: Sequence[int],
    passes: int = 2,
) -> int:
    """Operations to train all cells of a pair of architectures on one image, the sender's pass shared.

    A frozen suffix costs a forward pass and as much again for the gradient of its input; a stitch, whose input needs
    no gradient, a forward pass and the gradient of its weights. An evaluation is one of these two `passes`. Receiver
    layer -1 is its input.
    """
    sender_shapes, receiver_shapes = (shapes_from_image(name, width, image) for name in (sender, receiver))
    shared = sum(layer_flops(sender, width, image)[: max(sender_layers) + 1])
    suffixes = layer_flops(receiver, width, image)
    cells = sum(
        passes * (sum(suffixes[j + 1 :]) + stitch_flops(sender_shapes[i], receiver_shapes[j]))
        for j in receiver_layers
        for i in sender_layers
    )
    return shared + cells


@dataclass(frozen=True)
class Costs:
    """Operations, bytes on disk, memory (MB) and time (minutes) of a study's jobs.

    `known_sizes` are those of the data set where they are known better than by its source.
    """

    study: Study
    known_sizes: Sizes | None = None

    def network_flops(self, network: str) -> int:
        """Making a network: an image trained on costs three forward passes, and each epoch ends with an evaluation."""
        _, train_images, test_images, _ = self.sizes
        architecture, recipe, _ = NetworkId.parse(network)
        epochs = self.study.networks.training.epochs
        images = test_images
        if recipe == "trained":
            images += epochs * (3 * train_images + test_images)
        elif recipe == "calibrated":
            images += train_images
        return images * sum(layer_flops(architecture, self.study.networks.width, self.sizes.image))

    def training_flops(
        self, objective: str, sender: str, receiver: str, sender_layers: Sequence[int], receiver_layers: Sequence[int]
    ) -> int:
        """Training these cells of a pair."""
        settings = self.study.stitches.objectives()[objective]
        cells = (sender, receiver, sender_layers, receiver_layers)
        if objective == "similarity":
            return self.images_seen(objective) * self.similarity_flops(*cells, isinstance(settings, LeastSquares))
        image_flops = self._pair_flops(*cells, passes=2)
        if isinstance(settings, FastStitches):
            image_flops += self.teaching_flops(sender, receiver, sender_layers)
        return self.images_seen(objective) * image_flops + self.optimiser_flops(objective, *cells)

    def teaching_flops(self, sender: str, receiver: str, sender_layers: Sequence[int]) -> int:
        """Soft labels of an image, of trained networks: the sender's layers that no stitch sees, the whole receiver."""
        width, image = self.study.networks.width, self.sizes.image
        source, target = NetworkId.parse(sender), NetworkId.parse(receiver)
        unseen = layer_flops(source.architecture, width, image)[max(sender_layers) + 1 :]
        asked = layer_flops(target.architecture, width, image)
        return (source.recipe == "trained") * sum(unseen) + (target.recipe == "trained") * sum(asked)

    def optimiser_flops(
        self, objective: str, sender: str, receiver: str, sender_layers: Sequence[int], receiver_layers: Sequence[int]
    ) -> int:
        """Moving the stitches of these cells as often as their training does, where that multiplies matrices."""
        settings = self.study.stitches.objectives()[objective]
        if not isinstance(settings, FastStitches):
            return 0
        width, image = self.study.networks.width, self.sizes.image
        sources, targets = (
            shapes_from_image(NetworkId.parse(name).architecture, width, image) for name in (sender, receiver)
        )
        step = sum(muon_flops(sources[i], targets[j]) for i in sender_layers for j in receiver_layers)
        return count_steps(settings, self.sizes.train_images) * step

    def images_seen(self, objective: str) -> int:
        """How many images stitches are trained on, repetitions counted."""
        settings = self.study.stitches.objectives()[objective]
        if isinstance(settings, LeastSquares):
            return self.sizes.train_images
        return count_steps(settings, self.sizes.train_images) * settings.batch

    def evaluation_flops(
        self, sender: str, receiver: str, sender_layers: Sequence[int], receiver_layers: Sequence[int]
    ) -> int:
        """Evaluating these cells of a pair on the whole test set."""
        return self.sizes.test_images * self._pair_flops(sender, receiver, sender_layers, receiver_layers, passes=1)

    def dataset_bytes(self) -> int:
        """The data set's file: a byte a pixel, eight a label."""
        image, train_images, test_images, _ = self.sizes
        return (train_images + test_images) * (math.prod(image) + 8)

    def network_bytes(self, architecture: str) -> int:
        """Weights and running statistics of a network, float32."""
        image, _, _, classes = self.sizes
        structure = blocks(architecture, self.study.networks.width)
        convolutions = [(3, image[0], structure[0].in_channels)]
        for block in structure:
            convolutions += [(3, block.in_channels, block.channels), (3, block.channels, block.channels)]
            convolutions += [(1, block.in_channels, block.channels)] if _has_shortcut(block) else []
        # A convolution, and a batch norm: weight, bias, mean, variance, and how many batches it saw.
        numbers = sum(kernel**2 * before * after + 4 * after + 2 for kernel, before, after in convolutions)
        head = (structure[-1].channels + 1) * classes
        return 4 * (numbers + head) + TENSOR_BYTES * (6 * len(convolutions) + 2)

    def record_bytes(self, sender_layers: Sequence[int], receiver_layers: Sequence[int]) -> int:
        """The record of a pair: above all its predictions, compressed."""
        cells = len(sender_layers) * len(receiver_layers)
        prediction = COMPRESSED * math.log2(self.sizes.classes) / 8
        columns = RECORD_BYTES + COLUMN_BYTES * len(receiver_layers)
        return round(columns + cells * self.sizes.test_images * prediction)

    def stitches_bytes(
        self, sender: str, receiver: str, sender_layers: Sequence[int], receiver_layers: Sequence[int]
    ) -> int:
        """The trained stitches of these cells, float32."""
        sources, targets = (self._shapes(NetworkId.parse(network).architecture) for network in (sender, receiver))
        return sum(
            4 * targets[j].channels * (sources[i].channels * math.prod(_kernel(sources[i], targets[j])) + 1)
            + 2 * TENSOR_BYTES
            for i in sender_layers
            for j in receiver_layers
        )

    def tables_bytes(self, pairs: int, cells: int) -> int:
        """Tables, matrices and figures."""
        return CELL_TABLE_BYTES * cells + FIGURE_BYTES * pairs * len(self.study.figures.formats)

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
        architectures = self.study.networks.architectures
        return self._minutes(max(self.network_flops(f"{architecture}_trained_s0") for architecture in architectures))

    def pair_mb(self, sender: str) -> int:
        """All cells of a pair: the sender's maps of a batch, and a group in the receiver."""
        batch = max(getattr(settings, "batch", 0) for settings in self.study.stitches.objectives().values())
        maps = sum(math.prod(shape) for shape in self._shapes(NetworkId.parse(sender).architecture))
        group = GROUP_MB * MAPS_ALIVE if self.study.jobs.device != "cuda" else 4000
        maps_mb = math.ceil(2 * 4 * max(batch, 500) * maps / MIB)
        stitches = self._stitches_mb() + self._moments_mb(sender)
        return self._base_mb() + group + stitches + self._winograd_mb() + maps_mb

    def pair_minutes(
        self, objective: str, sender: str, receiver: str, sender_layers: Sequence[int], receiver_layers: Sequence[int]
    ) -> int:
        """These cells of a pair, trained for an objective and evaluated."""
        cells = (sender, receiver, sender_layers, receiver_layers)
        return self._minutes(self.training_flops(objective, *cells) + self.evaluation_flops(*cells))

    @property
    def sizes(self) -> Sizes:
        """Of the data set, as known or by its source."""
        return self.known_sizes or SIZES[self.study.dataset.source]

    def _pair_flops(
        self, sender: str, receiver: str, sender_layers: Sequence[int], receiver_layers: Sequence[int], passes: int
    ) -> int:
        names = (NetworkId.parse(network).architecture for network in (sender, receiver))
        width, image = self.study.networks.width, self.sizes.image
        return pair_flops(*names, width, image, sender_layers, receiver_layers, passes)

    def similarity_flops(
        self, sender: str, receiver: str, sender_layers: Sequence[int], receiver_layers: Sequence[int], moments: bool
    ) -> int:
        """An image for the objective `similarity`: both networks, and no suffix.

        Of a stitch a forward pass and the gradient of its weights, or, for its normal equations, its patches' squares
        and their products with what they should give, in float64, which takes twice the time.
        """
        names = [NetworkId.parse(network).architecture for network in (sender, receiver)]
        width, image = self.study.networks.width, self.sizes.image
        flops = sum(sum(layer_flops(name, width, image)) for name in names)
        sources, targets = (shapes_from_image(name, width, image) for name in names)
        for i in sender_layers:
            for j in receiver_layers:
                stitch = stitch_flops(sources[i], targets[j])
                size = sources[i].channels * math.prod(_kernel(sources[i], targets[j]))
                flops += 2 * (stitch + stitch * size // targets[j].channels) if moments else 2 * stitch
        return flops

    @property
    def _images_mb(self) -> float:
        image, train_images, test_images, _ = self.sizes
        return (train_images + test_images) * math.prod(image) / MIB

    def _shapes(self, architecture: str) -> list[Shape]:
        return layer_shapes(architecture, self.study.networks.width, self.sizes.image)

    def _base_mb(self) -> int:
        return PROCESS_MB[self.study.jobs.device] + math.ceil(3 * self._images_mb)

    def _stitches_mb(self) -> int:
        """Weight, gradient and momentum of all stitches between the deepest networks, and a copy to write."""
        architecture = max(self.study.networks.architectures, key=count_layers)
        shapes = self._shapes(architecture)
        weights = sum(
            source.channels * target.channels * math.prod(_kernel(source, target))
            for source in shapes
            for target in shapes
        )
        return math.ceil(4 * 4 * weights / MIB)

    def _moments_mb(self, sender: str) -> int:
        """MiB of the normal equations of all stitches to the deepest network, and of what whitens their patches."""
        if all(isinstance(settings, PaperStitches) for settings in self.study.stitches.objectives().values()):
            return 0
        receiver = max(self.study.networks.architectures, key=count_layers)
        outputs: dict[Shape, int] = {}  # channels, by the size of a map of one channel
        for shape in self._shapes(receiver):
            place = shape._replace(channels=1)
            outputs[place] = outputs.get(place, 0) + shape.channels
        numbers, largest = 0, 0
        for source in self._shapes(NetworkId.parse(sender).architecture):
            for target, channels in outputs.items():
                size = source.channels * math.prod(_kernel(source, target))
                numbers += (size + 1) * (size + 1 + channels) + size**2  # the latter twice, in float32
                largest = max(largest, size**2)
        return math.ceil(8 * (numbers + SQUARES_ALIVE * largest) / MIB)

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
        core = min(FLOPS_PER_SECOND_OF_CORE_AND_CHANNEL * self.study.networks.width, FLOPS_PER_SECOND_OF_CORE)
        cpu = core * self.study.jobs.threads
        speed = FLOPS_PER_SECOND_OF_GPU if self.study.jobs.device == "cuda" else cpu
        return 10 + math.ceil(flops / speed / 60)


def _kernel(source: Shape, target: Shape) -> tuple[int, int]:
    """Height and width of a stitch's kernel, from the maps that it sees and gives."""
    return math.ceil(source.height / target.height), math.ceil(source.width / target.width)


def _convolution(kernel: int, in_channels: int, output: Shape) -> int:
    return 2 * kernel**2 * in_channels * math.prod(output)


def _has_shortcut(block: Block) -> bool:
    return block.stride != 1 or block.in_channels != block.channels
