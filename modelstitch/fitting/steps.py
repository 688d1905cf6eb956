"""The steps of a training: the images and the learning rate of each."""

from collections.abc import Iterator, Sequence

from torch import Tensor

from modelstitch.config.stitches import TrainedStitches
from modelstitch.data.images import DeviceImages
from modelstitch.errors import ModelstitchError
from modelstitch.fitting.protocols import protocol_of
from modelstitch.progress import track
from modelstitch.schedule import count_steps
from modelstitch.seeds import seed_of


def planned_steps(settings: TrainedStitches, images: DeviceImages) -> int:
    """Number of steps of the training."""
    return count_steps(settings.epochs, settings.batch, len(images))


def steps(
    images: DeviceImages, settings: TrainedStitches, order: Sequence[object], label: str
) -> Iterator[tuple[int, float, Tensor, Tensor]]:
    """Yield the epoch, learning rate, augmented images (N, C, H, W) and labels (N,) of every step, and show progress.

    Args:
        images: the training images.
        settings: the protocol and its settings.
        order: the seed of the order of the images, together with the epoch.
        label: the name of the work in progress lines.

    Raises:
        ModelstitchError: if there are fewer training images than one batch.
    """
    return track(_steps(images, settings, order), label, planned_steps(settings, images))


def _steps(
    images: DeviceImages, settings: TrainedStitches, order: Sequence[object]
) -> Iterator[tuple[int, float, Tensor, Tensor]]:
    steps_per_epoch = len(images) // settings.batch
    if not steps_per_epoch:
        raise ModelstitchError(f"batch: {settings.batch} is more than the {len(images)} training images")
    protocol, total = protocol_of(settings.protocol), planned_steps(settings, images)
    for epoch, start in enumerate(range(0, total, steps_per_epoch)):
        shuffled = images.shuffled(settings.batch, seed_of(*order, epoch), settings.augmentation)
        for step, (batch, labels) in zip(range(start, min(start + steps_per_epoch, total)), shuffled, strict=False):
            yield epoch, protocol.rate(settings, step, total, steps_per_epoch), batch, labels
