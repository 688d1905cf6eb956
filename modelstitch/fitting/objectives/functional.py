"""Objective `functional`: to give the receiver's own representations at the stitched layer and all later ones.

Functional latent alignment (Athanasiadis et al., arXiv 2505.20142): the mean of ‖z - e‖ / ‖e‖ over these layers, where
z is the representation in the stitched network and e the receiver's own. Each image has its own norms.

Torch is imported inside functions, since planning a study needs the costs without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelstitch.fitting import through_suffix
from modelstitch.fitting.inputs import FitInputs
from modelstitch.fitting.through_suffix import images_seen
from modelstitch.fitting.through_suffix import operations_beside_receiver as operations

if TYPE_CHECKING:
    from modelstitch.fitting.alignment import Functional
    from modelstitch.fitting.beginning import Fit
    from modelstitch.networks.frozen import FrozenNetwork

__all__ = ["alignment", "fit", "images_seen", "operations"]


def alignment(receiver: FrozenNetwork) -> Functional:
    """The error that replaces the cross-entropy."""
    from modelstitch.fitting.alignment import Functional

    return Functional(receiver)


def fit(inputs: FitInputs) -> Fit:
    """Train stitches to give the receiver's representations at the stitched layer and all later ones.

    Raises:
        ModelstitchError: as `through_suffix.fit`.
    """
    return through_suffix.fit(inputs, alignment=alignment(inputs.receiver))
