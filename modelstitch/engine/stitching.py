"""The engine: every stitch of an ordered pair, trained and evaluated together.

Both networks are frozen, so all cells see the same batches and the sender runs once for each; the cells of a column
enter the receiver's suffix as one batch (`grouping`), and one optimiser moves all the stitches. Gradients of separate
stitches do not mix, so a cell's result is what it would have been alone. Where a device's memory can't hold a group,
the groups are halved and the batch is taken again.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from modelstitch.config import Start, TrainedStitches
from modelstitch.data.images import DeviceImages
from modelstitch.engine.frozen import FrozenNetwork
from modelstitch.engine.grouping import Group, group_column, map_limit
from modelstitch.fitting import protocols
from modelstitch.fitting.distillation import Teacher
from modelstitch.fitting.optimisers import Optimiser
from modelstitch.fitting.protocols import Fit
from modelstitch.fitting.schedule import count_steps
from modelstitch.hardware import enough_memory, free_memory, release_memory
from modelstitch.networks.architectures import Shape
from modelstitch.progress import say, track
from modelstitch.stitches.linear import Cell, Geometry, Stitch, in_order


class GroupOutput(NamedTuple):
    """What came out of a group: its column, itself, losses and predicted classes, both (cells, images)."""

    column: int
    group: Group
    losses: Tensor
    predictions: Tensor


class StitchedPair:
    """A frozen sender, a frozen receiver, and the stitches of some of their cells (sender layer, receiver layer).

    Attributes:
        largest_map: bytes that the largest map of a group may fill: found at the first pass, halved by `within_memory`.
        current_group: the group that is in a suffix; None between passes, and while the sender is at work.
    """

    def __init__(self, sender: FrozenNetwork, receiver: FrozenNetwork, stitches: dict[Cell, Stitch]) -> None:
        self.sender, self.receiver = sender, receiver
        self.stitches = {cell: stitches[cell] for cell in in_order(stitches)}
        self.last_sender_layer = max(i for i, _ in stitches)
        self.columns: dict[int, list[int]] = {}
        for i, j in self.stitches:
            self.columns.setdefault(j, []).append(i)
        self.largest_map: int | None = None
        self.current_group: Group | None = None

    def passes(
        self, images: Tensor, representations: Mapping[int, Tensor] | None = None
    ) -> Iterator[tuple[int, Group, Tensor]]:
        """Logits of every cell for normalised images (N, C, H, W), a group at a time: its column, itself, its logits.

        The logits (cells, images of the group, classes) carry the gradient of their own stitches only. The sender's
        `representations`, as `represent` gives them, are not made again where they are given.
        """
        suffixes = self.suffix_shapes(images)
        representations = self.represent(images) if representations is None else representations
        for j, sender_layers in self.columns.items():
            groups = group_column(suffixes[j], sender_layers, len(images), images.element_size(), self.largest_map)
            for group in groups:
                self.current_group = group
                maps = [self.stitches[i, j](representations[i][group.images]) for i in group.sender_layers]
                logits = self.receiver.suffix(j, torch.cat(maps) if len(maps) > 1 else maps[0])
                yield j, group, logits.float().unflatten(0, (len(maps), -1))
        self.current_group = None

    def represent(self, images: Tensor) -> dict[int, Tensor]:
        """The sender's representations of images (N, C, H, W) by layer, up to the last that a stitch sees."""
        self.largest_map = self.largest_map or self.limit_for(images)
        return self.sender.representations(images, self.last_sender_layer)

    def suffix_shapes(self, images: Tensor) -> dict[int, list[Shape]]:
        """Of every column, the shapes of the receiver's maps from its layer to the last, for images (N, C, H, W)."""
        shapes = self.receiver.shapes(tuple(images.shape[1:]))
        return {j: [shape for layer, shape in shapes.items() if layer >= j] for j in self.columns}

    def limit_for(self, images: Tensor) -> int:
        """Bytes that the largest map of a group may fill, for batches like `images` (N, C, H, W)."""
        shapes = self.sender.shapes(tuple(images.shape[1:]))
        pixels = sum(math.prod(shape) for layer, shape in shapes.items() if layer <= self.last_sender_layer)
        sender_bytes = len(images) * images.element_size() * pixels
        return map_limit(free_memory(images.device.type), list(self.suffix_shapes(images).values()), sender_bytes)

    def within_memory(
        self, work: Callable[[Tensor, Tensor], list[GroupOutput]], images: Tensor, labels: Tensor
    ) -> list[GroupOutput]:
        """What comes out of `work`, a pass over a batch, begun anew with smaller groups where one exhausts the memory.

        Raises:
            torch.OutOfMemoryError: if a single map exhausts it, or anything outside the suffixes.
        """
        while True:
            self.current_group = None
            try:
                return work(images, labels)
            except torch.OutOfMemoryError:
                if self.current_group is None or self.current_group.maps == 1:
                    raise
            # Only after the error are the tensors gone that its traceback holds.
            release_memory()
            self.largest_map = self.current_group.map_bytes // 2
            mib = self.largest_map / 2**20
            say(f"the device's memory is exhausted: from here on the largest map of a group is {mib:.3g} MiB")


class Tally:
    """Loss sums and counts of correct images of every cell, kept on the device."""

    def __init__(self, cells: Sequence[Cell], device: str) -> None:
        self.position = {cell: index for index, cell in enumerate(cells)}
        self.loss = torch.zeros(len(cells), dtype=torch.float64, device=device)
        self.correct = torch.zeros(len(cells), dtype=torch.int64, device=device)
        self.images = 0

    def rows(self, column: int, group: Group) -> slice:
        """Places of a group's cells, which follow each other."""
        first = self.position[group.sender_layers[0], column]
        return slice(first, first + len(group.sender_layers))

    def add(self, column: int, group: Group, losses: Tensor, predictions: Tensor, labels: Tensor) -> None:
        """Count a group's losses and predictions, both (cells, images)."""
        cells = self.rows(column, group)
        self.loss[cells] += losses.detach().sum(dim=1, dtype=torch.float64)
        self.correct[cells] += (predictions == labels).sum(dim=1)

    def means(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean loss and accuracy of every cell, float64 (cells,)."""
        return self.loss.cpu().numpy() / self.images, self.correct.cpu().numpy() / self.images


def cross_entropies(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy (cells, images) of logits (cells, images, classes) for labels (images,) or (images, classes)."""
    expected = targets.expand(len(logits), *targets.shape)
    if targets.ndim == 2:
        expected = expected.transpose(1, 2)
    return F.cross_entropy(logits.transpose(1, 2), expected, reduction="none")


def fit(
    sender: FrozenNetwork,
    receiver: FrozenNetwork,
    geometries: Mapping[Cell, Geometry],
    images: DeviceImages,
    settings: TrainedStitches,
    seed: Sequence[object],
    label: str,
    start: Start | None = None,
) -> Fit:
    """Stitches trained for the task, by the settings' protocol: cross-entropy through the frozen suffix.

    Args:
        sender, receiver: the frozen networks.
        geometries: of the cells' stitches.
        images: the training images.
        settings: the protocol and its numbers.
        seed: what random numbers are seeded with.
        label: names the work in its progress.
        start: another than the protocol's own.

    Raises:
        ModelstitchError: if there are fewer training images than one batch, or the device has too little memory.
    """
    stitches, optimiser, teacher = protocols.begin(settings, sender, receiver, geometries, images, seed, start)
    pair = StitchedPair(sender, receiver, stitches)
    loss, accuracy = train(pair, images, settings, optimiser, (*seed, "order"), label, teacher)
    return Fit(pair.stitches, loss, accuracy, count_steps(settings, len(images)) * settings.batch)


def train(
    pair: StitchedPair,
    images: DeviceImages,
    settings: TrainedStitches,
    optimiser: Optimiser,
    order: Sequence[object],
    label: str = "stitches",
    teacher: Teacher | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Train the stitches for the task, in place (arXiv 2303.11277).

    Args:
        pair: networks and stitches.
        images: the training images.
        settings: epochs, rates and augmentation.
        optimiser: moves the pair's stitches; its rate is the protocol's.
        order: what the order of the images is seeded with, beside the epoch.
        label: names the work in its progress.
        teacher: of the pair's cells, in their order: whose predictions they learn beside the labels.

    Returns:
        Mean loss and accuracy (epochs, cells) of the augmented training images, as they were when they were trained on;
        the loss is that of the labels, whatever the stitches learn. The last row may stand for a part of an epoch.

    Raises:
        ModelstitchError: if there are fewer training images than one batch, or the device has too little memory.
    """
    tallies: list[Tally] = []
    steps = track(protocols.steps(images, settings, order), label, count_steps(settings, len(images)))
    for epoch, rate, batch, labels in steps:
        if epoch == len(tallies):
            tallies.append(Tally(list(pair.stitches), images.device))
        optimiser.rate = rate
        take_step(pair, optimiser, batch, labels, tallies[-1], teacher)
    losses, accuracies = zip(*(tally.means() for tally in tallies), strict=True)
    return np.stack(losses), np.stack(accuracies)


@enough_memory("stitches.task.batch or networks.width")
def take_step(
    pair: StitchedPair,
    optimiser: Optimiser,
    images: Tensor,
    labels: Tensor,
    tally: Tally,
    teacher: Teacher | None = None,
) -> None:
    """Move every stitch once, by the mean cross-entropy of its own logits with labels (N,), on images (N, C, H, W).

    Where a `teacher` is heard, by that with its soft labels; the tally's losses are of the labels.

    Raises:
        ModelstitchError: if the device has too little memory.
    """
    representations = pair.represent(images)
    lesson = teacher.lesson(images, labels, representations) if teacher else None

    def step(images: Tensor, labels: Tensor) -> list[GroupOutput]:
        optimiser.zero_grad()
        counts = []
        for j, group, logits in pair.passes(images, representations):
            losses = learnt = cross_entropies(logits, labels[group.images])
            if lesson is not None:
                soft = cross_entropies(logits, lesson.labels[group.images])
                learnt = torch.lerp(losses, soft, lesson.heard[tally.rows(j, group), None])
            (learnt.sum() / len(labels)).backward()
            counts.append(GroupOutput(j, group, losses.detach(), logits.detach().argmax(dim=2)))
        optimiser.step()
        return counts

    before = tally.correct.clone()
    for j, group, losses, classes in pair.within_memory(step, images, labels):
        tally.add(j, group, losses, classes, labels[group.images])
    tally.images += len(labels)
    if teacher and lesson:
        teacher.compare(lesson, (tally.correct - before) / len(labels))


@enough_memory("networks.width")
@torch.no_grad()
def predict(pair: StitchedPair, images: DeviceImages) -> tuple[np.ndarray, np.ndarray]:
    """Mean loss (cells,) and predicted classes (cells, images) of every cell on every image of a split.

    Raises:
        ModelstitchError: if the device has too little memory.
    """

    def evaluate(images: Tensor, labels: Tensor) -> list[GroupOutput]:
        return [
            GroupOutput(j, group, cross_entropies(logits, labels[group.images]), logits.argmax(dim=2))
            for j, group, logits in pair.passes(images)
        ]

    cells = list(pair.stitches)
    tally = Tally(cells, images.device)
    predictions = torch.empty(len(cells), len(images), dtype=torch.int64, device=images.device)
    for batch, labels in images.in_order():
        for j, group, losses, classes in pair.within_memory(evaluate, batch, labels):
            tally.add(j, group, losses, classes, labels[group.images])
            part = slice(tally.images + group.images.start, tally.images + group.images.stop)
            predictions[tally.rows(j, group), part] = classes
        tally.images += len(labels)
    return tally.means()[0], predictions.cpu().numpy()
