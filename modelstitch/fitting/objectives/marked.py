"""Objective `marked`, a control of the task: trained as for it, on images with a dot that tells the class.

Neither network has seen such dots, in training or in test, so that what the marker adds to the task's accuracy can't
come from what they have in common: a stitch that has learned to read the dot serves the receiver with what it does not
expect. A shortcut that is present only while stitching, as in functional latent alignment (arXiv 2505.20142).
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
    """Stitches trained for the task on marked images, each seeded as for the task itself.

    Raises:
        ModelstitchError: if images can't have a dot of a hue, or as `through_suffix.fit`.
    """
    from modelstitch.data.changing import marked

    def of_split(images: DeviceImages, split: str) -> DeviceImages:
        return marked(images, seed_of(inputs.seed[0], inputs.seed[-1], "dots", split))

    inputs_marked = inputs.as_for_the_task()._replace(images=of_split(inputs.images, "train"))
    return through_suffix.fit(inputs_marked)._replace(test_images=lambda images: of_split(images, "test"))
