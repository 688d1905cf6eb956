"""Objective `similarity`: mean squared error to the receiver's expected representation. No suffix is run.

Torch is imported where it is used: planning a study asks what this costs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelstitch.config.stitches import LeastSquares, TrainedStitches
from modelstitch.fitting.inputs import FitInputs
from modelstitch.fitting.protocols import protocol_of
from modelstitch.fitting.work import PairWork
from modelstitch.schedule import count_steps

if TYPE_CHECKING:
    from modelstitch.fitting.beginning import Fit


def fit(inputs: FitInputs) -> Fit:
    """Stitches of least mean squared error, by steps of a protocol or in closed form.

    Raises:
        ModelstitchError: if there are fewer training images than one batch.
    """
    sender, receiver, _, images, settings, seed, label = inputs
    protocol = protocol_of(settings.protocol)
    if isinstance(settings, LeastSquares):
        return protocol.solve(inputs)

    from modelstitch.fitting.beginning import Fit
    from modelstitch.fitting.matching import train

    stitches, optimiser, _ = protocol.begin(inputs)
    loss, accuracy = train(sender, receiver, stitches, images, settings, optimiser, (*seed, "order"), label)
    return Fit(stitches, loss, accuracy, images_seen(settings, len(images)))


def images_seen(settings: TrainedStitches | LeastSquares, images: int) -> int:
    """How many images stitches are trained on, repetitions counted."""
    if isinstance(settings, LeastSquares):
        return images
    return count_steps(settings.epochs, settings.batch, images) * settings.batch


def image_operations(settings: TrainedStitches | LeastSquares, work: PairWork) -> int:
    """Of an image: both networks, no suffix, and what the protocol does with it."""
    both = work.sender.total_operations + work.receiver.total_operations
    if isinstance(settings, LeastSquares):
        return both + protocol_of(settings.protocol).image_operations(work)
    return both + 2 * work.stitch_operations


def operations(settings: TrainedStitches | LeastSquares, work: PairWork, images: int) -> int:
    """Of making these cells' stitches by a set of so many images."""
    return images_seen(settings, images) * image_operations(settings, work)
