"""Objective `remapped`, the control of the task: trained as for it, on labels whose classes are exchanged.

No class keeps its place. A stitch that is as accurate on them as for the task shows that stitch and suffix can serve
any labelling, so that its accuracy is no evidence of similarity; where they stay at chance, the accuracy for the task
comes from what the receiver's own later layers make of the representation that they expect. Smith et al. (ICML 2025)
shifted labels so in networks that were stitched to themselves.

To permute the labels is to permute the logits the other way round, so that the stitches' start, the images, their order
and what the networks' predictions teach are those of the task. What differs, beside the order of the logits, is that
`fast` takes the steps of a receiver that guesses, since least squares starts where the true labels are served.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from modelstitch.config.stitches import TrainedStitches
from modelstitch.fitting import through_suffix
from modelstitch.fitting.through_suffix import images_seen, operations
from modelstitch.seeds import derangement, seed_of
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
    """Stitches trained for the remapped task, each seeded as for the task itself.

    Args:
        sender, receiver: the frozen networks.
        geometries: of the cells' stitches.
        images: the training images.
        settings: the protocol and its numbers.
        seed: the study's, then the networks, then the objective: `remapped`, or with a number for another permutation.
        label: names the work in its progress.

    Raises:
        ModelstitchError: if the data has one class, there are fewer training images than one batch, or the device has
            too little memory.
    """
    import torch

    study_seed, *networks, objective = seed
    order = np.arange(receiver.source.outputs)  # of classes that the data lacks, each is its own
    order[: images.classes] = derangement(images.classes, seed_of(study_seed, objective, "classes"))
    classes = torch.from_numpy(order).to(images.device)
    seed = (study_seed, *networks, "task")
    return through_suffix.fit(sender, receiver, geometries, images, settings, seed, label, classes=classes)
