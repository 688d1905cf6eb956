"""Objective `remapped`, a control of the task: the task's training, on labels whose classes are permuted.

No class keeps its place. If a stitch is as accurate on these labels as for the task, then stitch and suffix can learn
any labelling, and the accuracy is no evidence of similarity. If it stays at chance, the accuracy for the task comes
from what the receiver's own later layers do with the representation that they expect. Smith et al. (ICML 2025) shifted
labels in this way in networks that were stitched to themselves.

Permuting the labels is the same as permuting the logits the other way round. So the stitches' start, the images, their
order and the predictions of the teacher are those of the task. Apart from the order of the logits there is one
difference: `fast` takes the long steps of a receiver that guesses, since least squares starts near the true labels.
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
    """Train stitches on the permuted classes, with the seeds of the task.

    The study's seed and the objective's number determine the permutation, which is the same for all pairs.

    Raises:
        ModelstitchError: if the data has only one class, or as `through_suffix.fit`.
    """
    import torch

    study_seed, objective, count = inputs.seed[0], inputs.seed[-1], inputs.images.classes
    order = np.arange(inputs.receiver.source.outputs)  # outputs without a class in the data keep their places
    order[:count] = derangement(count, seed_of(study_seed, objective, "classes"))
    return through_suffix.fit(inputs.as_for_the_task(), classes=torch.from_numpy(order).to(inputs.images.device))
