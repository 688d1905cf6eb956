"""Objective `penultimate`: to give the receiver's own representation at its last layer, just before the head.

The loss is the squared error ‖z - e‖² at that layer over the mean of ‖e‖² of the batch (Mai et al., arXiv 2603.12433,
who train on it before the task).

Torch is imported inside functions, since planning a study needs the costs without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelstitch.fitting import through_suffix
from modelstitch.fitting.inputs import FitInputs
from modelstitch.fitting.through_suffix import images_seen
from modelstitch.fitting.through_suffix import operations_beside_receiver as operations

if TYPE_CHECKING:
    from modelstitch.fitting.alignment import Penultimate
    from modelstitch.fitting.beginning import Fit
    from modelstitch.networks.frozen import FrozenNetwork

__all__ = ["alignment", "fit", "images_seen", "operations"]


def alignment(receiver: FrozenNetwork) -> Penultimate:
    """The error that replaces the cross-entropy."""
    from modelstitch.fitting.alignment import Penultimate

    return Penultimate(receiver)


def fit(inputs: FitInputs) -> Fit:
    """Train stitches to give the receiver's representation at its last layer.

    Raises:
        ModelstitchError: as `through_suffix.fit`.
    """
    return through_suffix.fit(inputs, alignment=alignment(inputs.receiver))
