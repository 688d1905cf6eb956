"""Objective `penultimate`: the receiver's own representation before its head, whatever the stitch does before.

The squared error ‖z - e‖² of the receiver's last layer, over the mean of ‖e‖² (Mai et al., arXiv 2603.12433, who train
for it before the task).

Torch is imported where it is used: planning a study asks what this costs.
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
    """Stitches trained to give the receiver's last representation.

    Raises:
        ModelstitchError: as `through_suffix.fit`.
    """
    from modelstitch.fitting.alignment import Penultimate

    return through_suffix.fit(inputs, alignment=Penultimate(inputs.receiver))
