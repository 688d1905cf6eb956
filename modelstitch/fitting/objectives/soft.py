"""Objective `soft`: cross-entropy with the receiver's own prediction for the image, not with its label.

Its gradient is that of the Kullback-Leibler divergence from the receiver's predictions (Csiszárik et al., "Similarity
and Matching of Neural Network Representations", NeurIPS 2021).

Torch is imported inside functions, since planning a study needs the costs without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelstitch.fitting import through_suffix
from modelstitch.fitting.inputs import FitInputs
from modelstitch.fitting.through_suffix import images_seen
from modelstitch.fitting.through_suffix import operations_beside_receiver as operations

if TYPE_CHECKING:
    from modelstitch.fitting.beginning import Fit

__all__ = ["fit", "images_seen", "operations"]


def fit(inputs: FitInputs) -> Fit:
    """Train stitches to predict what the receiver predicts.

    Raises:
        ModelstitchError: as `through_suffix.fit`.
    """
    from modelstitch.fitting.distillation import ReceiverTeacher

    return through_suffix.fit(inputs, teacher=ReceiverTeacher(inputs.receiver, len(inputs.geometries)))
