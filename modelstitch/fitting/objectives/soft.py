"""Objective `soft`: cross-entropy to what the receiver predicts of the image, not to its label.

Its gradient is that of the Kullback-Leibler divergence from the receiver's predictions (Csiszárik et al., "Similarity
and Matching of Neural Network Representations", NeurIPS 2021).

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
    """Stitches trained to predict what the receiver does.

    Args and errors as of `through_suffix.fit`.
    """
    from modelstitch.fitting.distillation import ReceiverTeacher

    teacher = ReceiverTeacher(receiver, len(geometries))
    return through_suffix.fit(sender, receiver, geometries, images, settings, seed, label, teacher=teacher)
