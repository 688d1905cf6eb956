"""Objective `similarity`: mean squared error to the representation that the receiver expects. No suffix is run.

Torch is imported inside functions, since planning a study needs the costs without torch.
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
    """Fit stitches by least mean squared error, by the steps of a protocol or in closed form.

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
    """Number of images that stitches are trained on, repetitions counted."""
    if isinstance(settings, LeastSquares):
        return images
    return count_steps(settings.epochs, settings.batch, images) * settings.batch


def image_operations(settings: TrainedStitches | LeastSquares, work: PairWork) -> int:
    """Operations for one image: both networks, no suffix, and the work of the protocol."""
    both = work.sender.total_operations + work.receiver.total_operations
    if isinstance(settings, LeastSquares):
        return both + protocol_of(settings.protocol).image_operations(work)
    return both + 2 * work.stitch_operations


def operations(settings: TrainedStitches | LeastSquares, work: PairWork, images: int) -> int:
    """Operations of fitting these cells' stitches to a training set of `images` images."""
    return images_seen(settings, images) * image_operations(settings, work)
