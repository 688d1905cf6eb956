"""Objective `deranged`, a control of the task: trained as for it, but each label has another image.

Test images are exchanged too. What the sender sees tells nothing of the label, so that no stitch can be better than
chance: an accuracy above it shows that labels reach the stitch by another way than through the sender. `fast` starts
from the exchanged images; its teacher, no better than chance on them, gets no weight.
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
    """Stitches trained for the labels of other images, each seeded as for the task itself.

    Raises:
        ModelstitchError: if there is one image, or as `through_suffix.fit`.
    """
    exchanged = seed_of(inputs.seed[0], inputs.seed[-1], "images")
    others = inputs.as_for_the_task()._replace(images=inputs.images.deranged(exchanged))
    return through_suffix.fit(others)._replace(test_images=lambda images: images.deranged(exchanged))
