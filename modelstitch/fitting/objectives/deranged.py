"""Objective `deranged`, a control of the task: trained as for it, but each label has another image.

Those of the test images have another one too. What the sender sees tells nothing of the label, so that no stitch can be
better than a guess: an accuracy above chance shows that labels reach the stitch by another way than through the sender.
Both networks see the exchanged image, by which `fast` starts; its teacher is asked about it too, and counts for
nothing, since it is no better than a guess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from modelstitch.config.stitches import TrainedStitches
from modelstitch.fitting import through_suffix
from modelstitch.fitting.through_suffix import images_seen, operations
from modelstitch.seeds import seed_of
from modelstitch.stitches.geometry import Cell, Geometry

if TYPE_CHECKING:
    from modelstitch.data.images import DeviceImages
    from modelstitch.fitting.beginning import Fit
    from modelstitch.networks.frozen import FrozenNetwork

__all__ = ["fit", "images_seen", "operations"]


def fit(
    sender: FrozenNetwork,
    receiver: FrozenNetwork,
    geometries: Mapping[Cell, Geometry],
    images: DeviceImages,
    settings: TrainedStitches,
    seed: Sequence[object],
    label: str,
) -> Fit:
    """Stitches trained for the labels of other images, each seeded as for the task itself.

    Args:
        sender, receiver: the frozen networks.
        geometries: of the cells' stitches.
        images: the training images.
        settings: the protocol and its numbers.
        seed: the study's, then the networks, then the objective.
        label: names the work in its progress.

    Raises:
        ModelstitchError: if there is one image, there are fewer than one batch, or the device has too little memory.
    """
    study_seed, *networks, objective = seed
    exchanged = seed_of(study_seed, objective, "images")
    others = images.deranged(exchanged)
    found = through_suffix.fit(sender, receiver, geometries, others, settings, (study_seed, *networks, "task"), label)
    return found._replace(deranged=exchanged)
