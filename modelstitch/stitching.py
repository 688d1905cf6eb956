"""The engine: every stitch of an ordered pair, trained and evaluated together.

Both networks are frozen, so all cells see the same batches and the sender runs once for each; the cells of a column
enter the receiver's suffix as one batch (`grouping`), and one optimiser moves all the stitches. Gradients of separate
stitches do not mix, so a cell's result is what it would have been alone.
"""

import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from modelstitch import protocols
from modelstitch.config import TaskStitches
from modelstitch.datasets import Dataset
from modelstitch.errors import ModelstitchError
from modelstitch.frozen import FrozenNetwork
from modelstitch.grouping import Group, group_column, map_bytes
from modelstitch.hardware import choose_precision, device_name
from modelstitch.images import DeviceImages
from modelstitch.least_squares import Cell
from modelstitch.networks import SmallResNet
from modelstitch.progress import track
from modelstitch.protocols import Optimiser
from modelstitch.records import Column, predictions_dtype
from modelstitch.seeds import seed_of
from modelstitch.stitches import Geometry, Stitch


class StitchedPair:
    """A frozen sender, a frozen receiver, and the stitches of some of their cells (sender layer, receiver layer)."""

    def __init__(self, sender: FrozenNetwork, receiver: FrozenNetwork, stitches: dict[Cell, Stitch]) -> None:
        self.sender, self.receiver = sender, receiver
        self.stitches = {cell: stitches[cell] for cell in sorted(stitches, key=lambda cell: (cell[1], cell[0]))}
        self.last_sender_layer = max(i for i, _ in stitches)
        self.columns: dict[int, list[int]] = {}
        for i, j in stitches:
            self.columns.setdefault(j, []).append(i)

    def passes(self, images: Tensor, largest_map: int | None = None) -> Iterator[tuple[int, Group, Tensor]]:
        """Logits of every cell for normalised images (N, C, H, W), a group at a time: its column, itself, its logits.

        The logits (cells, images of the group, classes) carry the gradient of their own stitches only.
        """
        shapes = self.receiver.shapes(tuple(images.shape[1:]))
        representations = self.sender.representations(images, self.last_sender_layer)
        limit = largest_map or map_bytes(images.device.type)
        for j, sender_layers in self.columns.items():
            for group in group_column(shapes[j:], sender_layers, len(images), images.element_size(), limit):
                maps = [self.stitches[i, j](representations[i][group.images]) for i in group.sender_layers]
                logits = self.receiver.suffix(j, torch.cat(maps) if len(maps) > 1 else maps[0])
                yield j, group, logits.float().unflatten(0, (len(maps), -1))


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


def cross_entropies(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy (cells, images) of logits (cells, images, classes) for labels (images,)."""
    return F.cross_entropy(logits.transpose(1, 2), labels.expand(len(logits), -1), reduction="none")


def count_steps(settings: TaskStitches, images: int) -> int:
    """Steps of the training on so many images: full batches only, at least one."""
    return max(1, round(settings.epochs * (images // settings.batch)))


def train(
    pair: StitchedPair,
    images: DeviceImages,
    settings: TaskStitches,
    optimiser: Optimiser,
    order: Sequence[object],
    label: str = "stitches",
) -> tuple[np.ndarray, np.ndarray]:
    """Train the stitches for the task, in place: cross-entropy through the frozen suffix (arXiv 2303.11277).

    Args:
        pair: networks and stitches.
        images: the training images.
        settings: epochs, rates and augmentation.
        optimiser: moves the pair's stitches; its rate is the protocol's.
        order: what the order of the images is seeded with, beside the epoch.
        label: names the work in its progress.

    Returns:
        Mean loss and accuracy (epochs, cells) of the augmented training images, as they were when they were trained on.
        The last row may stand for a part of an epoch.

    Raises:
        ModelstitchError: if there are fewer training images than one batch.
    """
    steps_per_epoch = len(images) // settings.batch
    if not steps_per_epoch:
        raise ModelstitchError(f"stitches.task.batch: {settings.batch} is more than the {len(images)} training images")
    steps = count_steps(settings, len(images))
    tallies = [Tally(list(pair.stitches), images.device) for _ in range(math.ceil(steps / steps_per_epoch))]
    batches = (
        (tally, batch, labels)
        for epoch, tally in enumerate(tallies)
        for batch, labels in images.shuffled(settings.batch, seed_of(*order, epoch), settings.augmentation)
    )
    rates = protocols.rates(settings, steps, steps_per_epoch)
    for rate, (tally, batch, labels) in zip(track(rates, label), batches, strict=False):
        optimiser.param_groups[0]["lr"] = rate
        take_step(pair, optimiser, batch, labels, tally)
    losses, accuracies = zip(*(tally.means() for tally in tallies), strict=True)
    return np.stack(losses), np.stack(accuracies)


def take_step(pair: StitchedPair, optimiser: Optimiser, images: Tensor, labels: Tensor, tally: Tally) -> None:
    """Move every stitch once, by the mean cross-entropy of its own logits on images (N, C, H, W)."""
    optimiser.zero_grad()
    for j, group, logits in pair.passes(images):
        targets = labels[group.images]
        losses = cross_entropies(logits, targets)
        (losses.sum() / len(labels)).backward()
        tally.add(j, group, losses, logits.argmax(dim=2), targets)
    optimiser.step()
    tally.images += len(labels)


@torch.no_grad()
def predict(pair: StitchedPair, images: DeviceImages) -> tuple[np.ndarray, np.ndarray]:
    """Mean loss (cells,) and predicted classes (cells, images) of every cell on every image of a split."""
    cells = list(pair.stitches)
    tally = Tally(cells, images.device)
    predictions = torch.empty(len(cells), len(images), dtype=torch.int64, device=images.device)
    for batch, labels in images.in_order():
        for j, group, logits in pair.passes(batch):
            targets = labels[group.images]
            classes = logits.argmax(dim=2)
            tally.add(j, group, cross_entropies(logits, targets), classes, targets)
            part = slice(tally.images + group.images.start, tally.images + group.images.stop)
            predictions[tally.rows(j, group), part] = classes
        tally.images += len(labels)
    return tally.means()[0], predictions.cpu().numpy()


def train_pair(
    sender: SmallResNet,
    receiver: SmallResNet,
    dataset: Dataset,
    settings: TaskStitches,
    *,
    study_seed: int,
    sender_layers: Sequence[int],
    receiver_layers: Sequence[int],
    device: str = "cpu",
) -> tuple[list[Column], dict[str, Tensor], dict[str, Any]]:
    """Train and evaluate the stitches of an ordered pair's cells: `sender_layers` x `receiver_layers`.

    A cell depends on its own seed and on the pair's order of images only, not on which other cells are trained with it.

    Returns:
        A column for each receiver layer; the stitches as `<sender layer>.<receiver layer>.weight` (C_out, C_in, k, k)
        and `.bias` (C_out,); and what a record says of how they were made.
    """
    start = time.monotonic()
    dtype = choose_precision(settings.precision, device)
    if device == "cuda":
        torch.backends.cudnn.benchmark = True
    names = (sender.about["network"], receiver.about["network"])
    train_images = DeviceImages(dataset, dataset.train, device, dtype)
    test_images = DeviceImages(dataset, dataset.test, device, dtype)
    frozen = FrozenNetwork(sender, dtype, device), FrozenNetwork(receiver, dtype, device)
    image = tuple(dataset.train.images.shape[1:])
    sender_shapes, receiver_shapes = (network.shapes(image) for network in frozen)
    geometries = {
        (i, j): Geometry.between(sender_shapes[i], receiver_shapes[j]) for j in receiver_layers for i in sender_layers
    }
    seed = (study_seed, *names, "task")
    stitches, optimiser = protocols.begin(settings, *frozen, geometries, train_images, seed)
    pair = StitchedPair(*frozen, stitches)
    train_loss, train_accuracy = train(pair, train_images, settings, optimiser, (*seed, "order"), " → ".join(names))
    trained_seconds = time.monotonic() - start
    test_loss, predictions = predict(pair, test_images)
    seconds = time.monotonic() - start
    columns = []
    for index, j in enumerate(receiver_layers):
        rows = slice(index * len(sender_layers), (index + 1) * len(sender_layers))
        columns.append(
            column(
                j,
                tuple(sender_layers),
                train_loss[:, rows].T,
                train_accuracy[:, rows].T,
                test_loss[rows],
                predictions[rows],
                dataset,
            )
        )
    images_trained_on = count_steps(settings, len(train_images)) * settings.batch
    weights = {
        f"{i}.{j}.{name}": tensor.detach().cpu()
        for (i, j), stitch in stitches.items()
        for name, tensor in (("weight", stitch.weight), ("bias", stitch.bias))
    }
    attributes = {
        "objective": "task",
        "sender": names[0],
        "receiver": names[1],
        "sender_accuracy": sender.about["accuracy"],
        "receiver_accuracy": receiver.about["accuracy"],
        "dataset": dataset.name,
        "dataset_digest": dataset.digest,
        "settings": settings.model_dump(mode="json"),
        "seed": study_seed,
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "precision": str(dtype).removeprefix("torch."),
        "train_images": images_trained_on,
        "seconds": round(seconds, 3),
        "images_per_second": round(images_trained_on / trained_seconds, 3),
    }
    return columns, weights, attributes


def column(
    receiver_layer: int,
    sender_layers: tuple[int, ...],
    train_loss: np.ndarray,
    train_accuracy: np.ndarray,
    test_loss: np.ndarray,
    predictions: np.ndarray,
    dataset: Dataset,
) -> Column:
    """The record of a receiver's layer; a cell whose loss stopped being finite counts as diverged, its accuracy NaN."""
    correct = predictions == dataset.test.labels
    in_training = ~np.isfinite(train_loss).all(axis=1)
    in_evaluation = ~np.isfinite(test_loss)
    diverged = in_training | in_evaluation
    reasons = np.where(
        in_training, "the training loss is not finite", np.where(in_evaluation, "the test loss is not finite", "")
    )
    return Column(
        receiver_layer=receiver_layer,
        sender_layers=sender_layers,
        test_accuracy=np.where(diverged, np.nan, correct.mean(axis=1)),
        test_loss=np.where(diverged, np.nan, test_loss),
        train_accuracy=np.where(diverged[:, None], np.nan, train_accuracy),
        train_loss=train_loss,
        test_images=predictions.shape[1],
        predictions=predictions.astype(predictions_dtype(len(dataset.classes))),
        diverged=diverged,
        reason=tuple(reasons.tolist()),
    )
