"""Fits stitches by steps through the receiver's frozen suffix: shared by all objectives that run the suffix.

Torch is imported inside functions, since planning a study needs the costs without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelstitch.config.stitches import TrainedStitches
from modelstitch.fitting.inputs import FitInputs
from modelstitch.fitting.protocols import protocol_of
from modelstitch.fitting.work import PairWork
from modelstitch.schedule import count_steps

if TYPE_CHECKING:
    from torch import Tensor

    from modelstitch.fitting.alignment import Alignment
    from modelstitch.fitting.beginning import Fit
    from modelstitch.fitting.distillation import ReceiverTeacher


def fit(
    inputs: FitInputs,
    *,
    classes: Tensor | None = None,
    teacher: ReceiverTeacher | None = None,
    alignment: Alignment | None = None,
) -> Fit:
    """Train stitches with the protocol of the settings; by default for the task.

    Args:
        inputs: the cells, images and settings.
        classes: order of the logits, as in `StitchedPair`.
        teacher: replaces the protocol's teacher.
        alignment: replaces the cross-entropy, and any teacher.

    Raises:
        ModelstitchError: if there are fewer training images than one batch, or the device has too little memory.
    """
    from modelstitch.engine.pair import StitchedPair
    from modelstitch.fitting.beginning import Fit
    from modelstitch.fitting.training import train

    settings, images = inputs.settings, inputs.images
    stitches, optimiser, own_teacher = protocol_of(settings.protocol).begin(inputs, classes)
    pair = StitchedPair(inputs.sender, inputs.receiver, stitches, classes)
    moved_by = {"teacher": None if alignment else teacher or own_teacher, "alignment": alignment}
    loss, accuracy = train(pair, images, settings, optimiser, (*inputs.seed, "order"), inputs.label, **moved_by)
    return Fit(pair.stitches, loss, accuracy, images_seen(settings, len(images)), classes)


def images_seen(settings: TrainedStitches, images: int) -> int:
    """Number of images that stitches are trained on, repetitions counted."""
    return count_steps(settings.epochs, settings.batch, images) * settings.batch


def operations(settings: TrainedStitches, work: PairWork, images: int) -> int:
    """Operations of training these cells on a training set of `images` images."""
    seen = images_seen(settings, images)
    beside = protocol_of(settings.protocol).operations(settings, work, seen, seen // settings.batch)
    return seen * work.passes_operations(passes=2) + beside


def operations_beside_receiver(settings: TrainedStitches, work: PairWork, images: int) -> int:
    """As `operations`, plus the receiver's own pass over each image."""
    return operations(settings, work, images) + images_seen(settings, images) * work.receiver.total_operations
