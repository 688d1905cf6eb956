"""Accuracy and loss of every cell, counted during training and on the whole test set."""

import copy
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from modelstitch.accuracy import accuracy, correct
from modelstitch.data.images import DeviceImages
from modelstitch.engine.grouping import Group
from modelstitch.engine.pair import GroupOutput, StitchedPair
from modelstitch.hardware import enough_memory
from modelstitch.stitches.geometry import Cell


class Predictions(NamedTuple):
    """Losses and predictions of all cells on a split, in the order of the pair's stitches.

    Attributes:
        loss: mean cross-entropy (cells,).
        classes: predicted classes (cells, images).
    """

    loss: np.ndarray
    classes: np.ndarray

    def accuracy(self, labels: np.ndarray, train_loss: np.ndarray) -> np.ndarray:
        """Accuracy (cells,) for labels (images,); NaN if this loss or a train loss (epochs, cells) is not finite."""
        finite = np.isfinite(self.loss) & np.isfinite(train_loss).all(axis=0)
        return np.where(finite, accuracy(self.classes, labels), np.nan)


class Tally:
    """The sum of losses and the number of correct images of every cell, kept on the device."""

    def __init__(self, cells: Sequence[Cell], device: str) -> None:
        self.position = {cell: index for index, cell in enumerate(cells)}
        self.loss = torch.zeros(len(cells), dtype=torch.float64, device=device)
        self.correct = torch.zeros(len(cells), dtype=torch.int64, device=device)
        self.images = 0

    def rows(self, column: int, group: Group) -> slice:
        """The indices of a group's cells, which are adjacent."""
        first = self.position[group.sender_layers[0], column]
        return slice(first, first + len(group.sender_layers))

    def add(self, column: int, group: Group, losses: Tensor, predictions: Tensor, labels: Tensor) -> None:
        """Add a group's losses and predictions, both (cells, images)."""
        cells = self.rows(column, group)
        self.loss[cells] += losses.detach().sum(dim=1, dtype=torch.float64)
        self.correct[cells] += correct(predictions, labels).sum(dim=1)

    def pop(self) -> "Tally":
        """Return a copy, and set this tally to 0 in place."""
        other = copy.copy(self)
        other.loss, other.correct = self.loss.clone(), self.correct.clone()
        self.loss.zero_()
        self.correct.zero_()
        self.images = 0
        return other

    def means(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean loss and accuracy of every cell, float64 (cells,)."""
        return self.loss.cpu().numpy() / self.images, self.correct.cpu().numpy() / self.images


def cross_entropies(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy (cells, images) of logits (cells, images, classes) for labels (images,) or (images, classes)."""
    expected = targets.expand(len(logits), *targets.shape)
    if targets.ndim == 2:
        expected = expected.transpose(1, 2)
    return F.cross_entropy(logits.transpose(1, 2), expected, reduction="none")


@enough_memory("the networks' size")
@torch.no_grad()
def predict(pair: StitchedPair, images: DeviceImages) -> Predictions:
    """Predict every image of a split with every cell.

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
    classes = torch.empty(len(cells), len(images), dtype=torch.int64, device=images.device)
    for batch, labels in images.in_order():
        for j, group, losses, predicted in pair.within_memory(evaluate, batch, labels):
            tally.add(j, group, losses, predicted, labels[group.images])
            part = slice(tally.images + group.images.start, tally.images + group.images.stop)
            classes[tally.rows(j, group), part] = predicted
        tally.images += len(labels)
    return Predictions(tally.means()[0], classes.cpu().numpy())
