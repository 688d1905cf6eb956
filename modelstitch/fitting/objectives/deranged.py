"""Objective `deranged`, a control of the task: the task's training, but each label goes with another image.

Test images are exchanged too. The sender's input then tells nothing about the label, so no stitch can be better than
chance: a higher accuracy shows that labels reach the stitch by another way than through the sender. Protocol `fast`
computes its start from the exchanged images; no network is better than chance on them, so it has no teacher.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelstitch.fitting import through_suffix
from modelstitch.fitting.inputs import FitInputs
from modelstitch.fitting.through_suffix import images_seen, operations
from modelstitch.seeds import seed_of

if TYPE_CHECKING:
    from modelstitch.fitting.beginning import Fit

__all__ = ["fit", "images_seen", "operations"]


def fit(inputs: FitInputs) -> Fit:
    """Train stitches on the labels of other images, with the seeds of the task.

    Raises:
        ModelstitchError: if there is only one image, or as `through_suffix.fit`.
    """
    exchanged = seed_of(inputs.seed[0], inputs.seed[-1], "images")
    others = inputs.as_for_the_task()._replace(images=inputs.images.deranged(exchanged))
    return through_suffix.fit(others)._replace(test_images=lambda images: images.deranged(exchanged))
