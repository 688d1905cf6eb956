"""How stitches are trained: where they start, what moves them, and at which rate.

`paper` is the published protocol (arXiv 2303.11277). `fast` reaches the converged matrix with a fraction of the images:
it starts from least squares, learns from the networks' own predictions beside the labels, and moves by Muon as if
senders were whitened. How near it comes: docs/protocols.md.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from modelstitch.config import FastStitches, PaperStitches, Start, TrainedStitches
from modelstitch.data.images import DeviceImages, drawn
from modelstitch.engine.frozen import FrozenNetwork
from modelstitch.errors import ModelstitchError
from modelstitch.fitting.distillation import Teacher, reliability
from modelstitch.fitting.muon import WhitenedMuon
from modelstitch.fitting.optimisers import SGD, Optimiser
from modelstitch.fitting.schedule import count_steps, warmup_cosine
from modelstitch.seeds import seed_of
from modelstitch.stitches.linear import Cell, Geometry, Stitch, initialise, parameters
from modelstitch.stitches.normal_equations import accumulate

STATISTICS_BATCH = 100
GUESSING_STRETCH = 10.0  # of steps into a receiver that guesses


class Beginning(NamedTuple):
    """Stitches before their first step.

    Attributes:
        stitches: of every cell.
        optimiser: moves them.
        teacher: whose predictions the stitches learn beside the labels; None for the labels alone.
    """

    stitches: dict[Cell, Stitch]
    optimiser: Optimiser
    teacher: Teacher | None


class Fit(NamedTuple):
    """Stitches that were trained for an objective.

    Attributes:
        stitches: of every cell, `in_order`.
        loss, accuracy: of the training images, (epochs, cells), in the order of the stitches; the last row may stand
            for a part of an epoch. Accuracy is NaN where training ran no suffix.
        images: how many were trained on.
    """

    stitches: dict[Cell, Stitch]
    loss: np.ndarray
    accuracy: np.ndarray
    images: int


def begin(
    settings: PaperStitches | FastStitches,
    sender: FrozenNetwork,
    receiver: FrozenNetwork,
    geometries: Mapping[Cell, Geometry],
    images: DeviceImages,
    seed: Sequence[object],
    start: Start | None = None,
) -> Beginning:
    """The stitches of some cells as their training begins, what moves them, and what they learn.

    Args:
        settings: the protocol and its numbers.
        sender, receiver: the frozen networks.
        geometries: of the cells' stitches.
        images: the training images, of which `fast` takes some for its statistics, `paper` from least squares all.
        seed: what the random numbers are seeded with, beside the cell.
        start: another than the protocol's own, which is least squares for `fast` and random for `paper`.
    """
    stitches = {
        cell: initialise(geometry, seed_of(*seed, *cell), images.device) for cell, geometry in geometries.items()
    }
    published = isinstance(settings, PaperStitches)
    start = start or ("random" if published else "least-squares")
    if published and start == "random":
        return Beginning(stitches, sgd(stitches, settings), None)
    count = len(images) if published else settings.statistics_images
    chosen = drawn(len(images), count, seed_of(*seed, "statistics")).to(images.device)
    batches = (images.normalised(part).to(images.dtype) for part in chosen.split(STATISTICS_BATCH))
    moments = accumulate(sender, receiver, geometries, batches, torch.float32)
    for cell, stitch in stitches.items() if start == "least-squares" else ():
        nearest = moments.solve(cell)
        # A network that overflows has no least squares: its stitches start at random.
        if nearest.weight.isfinite().all() and nearest.bias.isfinite().all():
            stitch.weight.data.copy_(nearest.weight)
            stitch.bias.data.copy_(nearest.bias)
    if published:
        return Beginning(stitches, sgd(stitches, settings), None)
    reliabilities = (reliability(sender, images, chosen), reliability(receiver, images, chosen))
    teacher = Teacher(sender, receiver, reliabilities, len(stitches), images.device)
    optimiser = WhitenedMuon(stitches, moments, stretch(reliabilities[1]))
    return Beginning(stitches, optimiser, teacher if teacher.share else None)


def stretch(kappa: float) -> float:
    """How much longer steps are for a receiver of reliability `kappa`: 10 times if it guesses, 1 if always right.

    Least squares is a poor start for a receiver that knows nothing, since what it expects leads nowhere: its best
    stitches are far away.
    """
    return GUESSING_STRETCH ** ((1 - kappa) ** 2)


def sgd(stitches: Mapping[Cell, Stitch], settings: PaperStitches) -> SGD:
    """The paper's optimiser, of all stitches together."""
    return SGD(parameters(stitches.values()), settings.momentum, settings.weight_decay)


def steps(
    images: DeviceImages, settings: TrainedStitches, order: Sequence[object]
) -> Iterator[tuple[int, float, Tensor, Tensor]]:
    """Every step's epoch, learning rate, augmented images (N, C, H, W) and labels (N,).

    Raises:
        ModelstitchError: if there are fewer training images than one batch.
    """
    steps_per_epoch = len(images) // settings.batch
    if not steps_per_epoch:
        raise ModelstitchError(f"batch: {settings.batch} is more than the {len(images)} training images")
    planned = rates(settings, count_steps(settings, len(images)), steps_per_epoch)
    for epoch, start in enumerate(range(0, len(planned), steps_per_epoch)):
        shuffled = images.shuffled(settings.batch, seed_of(*order, epoch), settings.augmentation)
        for rate, (batch, labels) in zip(planned[start : start + steps_per_epoch], shuffled, strict=False):
            yield epoch, rate, batch, labels


def rates(settings: TrainedStitches, steps: int, steps_per_epoch: int) -> list[float]:
    """Learning rate of every step: warm-up and cosine for `paper`, falling linearly to 0 for `fast`."""
    if isinstance(settings, PaperStitches):
        warmup_steps = round(settings.warmup_epochs * steps_per_epoch)
        return [settings.learning_rate * warmup_cosine(step, steps, warmup_steps) for step in range(steps)]
    return [settings.learning_rate * (1 - step / steps) for step in range(steps)]
