"""The published protocol (arXiv 2303.11277): random start, SGD with momentum, linear warm-up, then cosine to 0.

Torch is imported where it is used: planning a study asks what this costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from modelstitch.config.stitches import PaperStitches
from modelstitch.fitting.work import PairWork, moments_bytes, needs_moments
from modelstitch.schedule import warmup_cosine
from modelstitch.stitches.geometry import Cell, Geometry

if TYPE_CHECKING:
    from torch import Tensor

    from modelstitch.data.images import DeviceImages
    from modelstitch.fitting.beginning import Beginning
    from modelstitch.networks.frozen import FrozenNetwork


def begin(
    settings: PaperStitches,
    sender: FrozenNetwork,
    receiver: FrozenNetwork,
    geometries: Mapping[Cell, Geometry],
    images: DeviceImages,
    seed: Sequence[object],
    classes: Tensor | None = None,
) -> Beginning:
    """Random stitches, or those of least squares over all training images."""
    from modelstitch.fitting.beginning import Beginning, new_stitches, some_moments, start_nearest
    from modelstitch.optimisers import SGD

    stitches = new_stitches(geometries, settings.family, seed, images.device)
    if needs_moments(settings):
        moments, _ = some_moments(sender, receiver, geometries, images, len(images), seed)
        start_nearest(stitches, moments, settings.family, settings.start)
    parameters = [tensor for stitch in stitches.values() for tensor in stitch.parameters]
    return Beginning(stitches, SGD(parameters, settings.momentum, settings.weight_decay))


def rate(settings: PaperStitches, step: int, steps: int, steps_per_epoch: int) -> float:
    """Warm-up and cosine."""
    return settings.learning_rate * warmup_cosine(step, steps, round(settings.warmup_epochs * steps_per_epoch))


def operations(settings: PaperStitches, work: PairWork, images: int, steps: int) -> int:
    """Beside the passes: none."""
    return 0


def memory_bytes(settings: PaperStitches, work: PairWork) -> int:
    """Beside the stitches: the normal equations, where they are needed."""
    return moments_bytes(work) if needs_moments(settings) else 0
