"""Objective `functional`: the receiver's own representations from the cut on, at every later layer.

Functional latent alignment (Athanasiadis et al., arXiv 2505.20142): the mean of ‖z - e‖ / ‖e‖ over the cut and all
later layers, z what the stitched network gives there and e what the receiver does. Norms are those of an image.

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
    """Stitches trained to give the receiver's representations from the cut on.

    Raises:
        ModelstitchError: as `through_suffix.fit`.
    """
    from modelstitch.fitting.alignment import Functional

    return through_suffix.fit(inputs, alignment=Functional(inputs.receiver))
