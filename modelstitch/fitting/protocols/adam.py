"""AdamW and a rate that falls by a cosine to 0, from a random start or least squares: for stitches of any family.

So Balogh and Jelasity train stitches (arXiv 2412.11299: a rate of 0.001, a decay of 0.00001, 30 epochs in batches of
256, from a random start), and with other numbers and from least squares over 500 images arXiv 2505.20142. Torch is
imported where it is used: planning a study asks what this costs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelstitch.config.stitches import AdamStitches
from modelstitch.fitting.inputs import FitInputs
from modelstitch.fitting.work import PairWork, moments_bytes, needs_moments
from modelstitch.schedule import warmup_cosine

if TYPE_CHECKING:
    from torch import Tensor

    from modelstitch.fitting.beginning import Beginning


def begin(inputs: FitInputs, classes: Tensor | None = None) -> Beginning:
    """Random stitches, or those of least squares over some training images."""
    from modelstitch.fitting.beginning import Beginning, started
    from modelstitch.optimisers import AdamW

    stitches = started(inputs, inputs.settings.statistics_images)
    parameters = [tensor for stitch in stitches.values() for tensor in stitch.parameters]
    return Beginning(stitches, AdamW(parameters, inputs.settings.weight_decay))


def rate(settings: AdamStitches, step: int, steps: int, steps_per_epoch: int) -> float:
    """A cosine, without a warm-up."""
    return settings.learning_rate * warmup_cosine(step, steps, 0)


def operations(settings: AdamStitches, work: PairWork, images: int, steps: int) -> int:
    """Beside the passes: none."""
    return 0


def memory_bytes(settings: AdamStitches, work: PairWork) -> int:
    """Beside the stitches: the normal equations, where they are needed."""
    return moments_bytes(work) if needs_moments(settings) else 0
