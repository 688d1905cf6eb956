"""The published protocol (arXiv 2303.11277): random start, SGD with momentum, linear warm-up, then cosine to 0.

Torch is imported inside functions, since planning a study needs the costs without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelstitch.config.stitches import PaperStitches
from modelstitch.fitting.inputs import FitInputs
from modelstitch.fitting.work import PairWork, moments_bytes, needs_moments
from modelstitch.schedule import warmup_cosine

if TYPE_CHECKING:
    from torch import Tensor

    from modelstitch.fitting.beginning import Beginning


def begin(inputs: FitInputs, classes: Tensor | None = None) -> Beginning:
    """Random stitches, or least squares over all training images, and SGD."""
    from modelstitch.fitting.beginning import Beginning, started
    from modelstitch.optimisers import SGD

    stitches = started(inputs, len(inputs.images))
    parameters = [tensor for stitch in stitches.values() for tensor in stitch.parameters]
    return Beginning(stitches, SGD(parameters, inputs.settings.momentum, inputs.settings.weight_decay))


def rate(settings: PaperStitches, step: int, steps: int, steps_per_epoch: int) -> float:
    """Learning rate of a step: linear warm-up, then half a cosine to 0."""
    return settings.learning_rate * warmup_cosine(step, steps, round(settings.warmup_epochs * steps_per_epoch))


def operations(settings: PaperStitches, work: PairWork, images: int, steps: int) -> int:
    """No operations in addition to the passes."""
    return 0


def memory_bytes(settings: PaperStitches, work: PairWork) -> int:
    """Bytes of the normal equations, if they are needed."""
    return moments_bytes(work) if needs_moments(settings) else 0
