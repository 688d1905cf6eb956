"""AdamW with a rate that falls by a cosine to 0, from a random start or least squares: for stitches of any family.

Balogh and Jelasity train stitches in this way (arXiv 2412.11299: a rate of 0.001, a weight decay of 0.00001, 30 epochs
in batches of 256, from a random start); so does arXiv 2505.20142, with other numbers, and from least squares over 500
images. Torch is imported inside functions, since planning a study needs the costs without torch.
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
    """Random stitches, or least squares over `statistics_images` training images, and AdamW."""
    from modelstitch.fitting.beginning import Beginning, started
    from modelstitch.optimisers import AdamW

    stitches = started(inputs, inputs.settings.statistics_images)
    parameters = [tensor for stitch in stitches.values() for tensor in stitch.parameters]
    return Beginning(stitches, AdamW(parameters, inputs.settings.weight_decay))


def rate(settings: AdamStitches, step: int, steps: int, steps_per_epoch: int) -> float:
    """Learning rate of a step: half a cosine to 0, without warm-up."""
    return settings.learning_rate * warmup_cosine(step, steps, 0)


def operations(settings: AdamStitches, work: PairWork, images: int, steps: int) -> int:
    """No operations in addition to the passes."""
    return 0


def memory_bytes(settings: AdamStitches, work: PairWork) -> int:
    """Bytes of the normal equations, if they are needed."""
    return moments_bytes(work) if needs_moments(settings) else 0
