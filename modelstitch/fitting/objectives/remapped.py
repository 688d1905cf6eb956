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

from typing import TYPE_CHECKING

import numpy as np

from modelstitch.fitting import through_suffix
from modelstitch.fitting.inputs import FitInputs
from modelstitch.fitting.through_suffix import images_seen, operations
from modelstitch.seeds import derangement, seed_of

if TYPE_CHECKING:
    from modelstitch.fitting.beginning import Fit

__all__ = ["fit", "images_seen", "operations"]


def fit(inputs: FitInputs) -> Fit:
    """Stitches trained for the remapped task, each seeded as for the task itself.

    The study's seed and the objective's number determine the permutation, one for all pairs.

    Raises:
        ModelstitchError: if the data has one class, or as `through_suffix.fit`.
    """
    import torch

    study_seed, objective, count = inputs.seed[0], inputs.seed[-1], inputs.images.classes
    order = np.arange(inputs.receiver.source.outputs)  # a class that the data lacks keeps its place
    order[:count] = derangement(count, seed_of(study_seed, objective, "classes"))
    return through_suffix.fit(inputs.as_for_the_task(), classes=torch.from_numpy(order).to(inputs.images.device))
