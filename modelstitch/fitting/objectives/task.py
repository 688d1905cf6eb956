"""Objective `task`: cross-entropy through the receiver's frozen suffix, the paper's vanilla stitches.

Torch is imported where it is used: planning a study asks what this costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from modelstitch.config.stitches import TrainedStitches
from modelstitch.fitting.protocols import protocol_of
from modelstitch.fitting.work import PairWork
from modelstitch.schedule import count_steps
from modelstitch.stitches.geometry import Cell, Geometry

if TYPE_CHECKING:
    from torch import Tensor

    from modelstitch.data.images import DeviceImages
    from modelstitch.fitting.beginning import Fit
    from modelstitch.networks.frozen import FrozenNetwork


def fit(
    sender: FrozenNetwork,
    receiver: FrozenNetwork,
    geometries: Mapping[Cell, Geometry],
    images: DeviceImages,
    settings: TrainedStitches,
    seed: Sequence[object],
    label: str,
    classes: Tensor | None = None,
) -> Fit:
    """Stitches trained for the task, by the settings' protocol.

    Args:
        sender, receiver: the frozen networks.
        geometries: of the cells' stitches.
        images: the training images.
        settings: the protocol and its numbers.
        seed: what random numbers are seeded with.
        label: names the work in its progress.
        classes: as in `StitchedPair`.

    Raises:
        ModelstitchError: if there are fewer training images than one batch, or the device has too little memory.
    """
    from modelstitch.engine.pair import StitchedPair
    from modelstitch.fitting.beginning import Fit
    from modelstitch.fitting.training import train

    begin = protocol_of(settings.protocol).begin
    stitches, optimiser, teacher = begin(settings, sender, receiver, geometries, images, seed, classes)
    pair = StitchedPair(sender, receiver, stitches, classes)
    loss, accuracy = train(pair, images, settings, optimiser, (*seed, "order"), label, teacher)
    return Fit(pair.stitches, loss, accuracy, images_seen(settings, len(images)), classes)


def images_seen(settings: TrainedStitches, images: int) -> int:
    """How many images stitches are trained on, repetitions counted."""
    return count_steps(settings.epochs, settings.batch, images) * settings.batch


def operations(settings: TrainedStitches, work: PairWork, images: int) -> int:
    """Of training these cells on a set of so many images."""
    seen = images_seen(settings, images)
    beside = protocol_of(settings.protocol).operations(settings, work, seen, seen // settings.batch)
    return seen * work.passes_operations(passes=2) + beside
