"""Objective `marked`, a control of the task: the task's training, on images with a dot whose colour tells the class.

Unless a network was trained on such dots (`changes.shortcut`), what the dot adds to the task's accuracy cannot come
from what the networks have in common: the stitch has learned to read the dot, and gives the receiver something that it
does not expect. Such a shortcut, present only while stitching, is also used for functional latent alignment (arXiv
2505.20142).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelstitch.fitting import through_suffix
from modelstitch.fitting.inputs import FitInputs
from modelstitch.fitting.through_suffix import images_seen, operations
from modelstitch.seeds import seed_of

if TYPE_CHECKING:
    from modelstitch.data.images import DeviceImages
    from modelstitch.fitting.beginning import Fit

__all__ = ["fit", "images_seen", "operations"]


def fit(inputs: FitInputs) -> Fit:
    """Train stitches for the task on images with dots, with the seeds of the task.

    Raises:
        ModelstitchError: as `data.changing.with_dots`, or as `through_suffix.fit`.
    """
    from modelstitch.data.changing import marked

    def of_split(images: DeviceImages, split: str) -> DeviceImages:
        return marked(images, seed_of(inputs.seed[0], inputs.seed[-1], "dots", split))

    inputs_marked = inputs.as_for_the_task()._replace(images=of_split(inputs.images, "train"))
    return through_suffix.fit(inputs_marked)._replace(test_images=lambda images: of_split(images, "test"))
