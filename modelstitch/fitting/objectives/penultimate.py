"""Objective `penultimate`: the receiver's own representation before its head, whatever the stitch does before.

The squared error ‖z - e‖² of the receiver's last layer, over the mean of ‖e‖² (Mai et al., arXiv 2603.12433, who train
for it before the task).

Torch is imported where it is used: planning a study asks what this costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from modelstitch.config.stitches import TrainedStitches
from modelstitch.fitting import through_suffix
from modelstitch.fitting.through_suffix import images_seen
from modelstitch.fitting.through_suffix import operations_beside_receiver as operations
from modelstitch.stitches.geometry import Cell, Geometry

if TYPE_CHECKING:
    from modelstitch.data.images import DeviceImages
    from modelstitch.fitting.beginning import Fit
    from modelstitch.networks.frozen import FrozenNetwork

__all__ = ["fit", "images_seen", "operations"]


def fit(
    sender: FrozenNetwork,
    receiver: FrozenNetwork,
    geometries: Mapping[Cell, Geometry],
    images: DeviceImages,
    settings: TrainedStitches,
    seed: Sequence[object],
    label: str,
) -> Fit:
    """Stitches trained to give the receiver's last representation.

    Args and errors as of `through_suffix.fit`.
    """
    from modelstitch.fitting.alignment import Penultimate

    alignment = Penultimate(receiver)
    return through_suffix.fit(sender, receiver, geometries, images, settings, seed, label, alignment=alignment)
