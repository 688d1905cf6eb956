"""The number of steps of a training, and the schedule of its learning rate."""

import math


def count_steps(epochs: float, batch: int, images: int) -> int:
    """Steps of a training: epochs of full batches, at least one step."""
    return max(1, round(epochs * (images // batch)))


def warmup_cosine(step: int, steps: int, warmup_steps: int) -> float:
    """Factor on the peak rate at `step` of `steps`: linear warm-up, then half a cosine to 0.

    With a warm-up longer than the training the rate never reaches its peak, as happened to the paper's stitches.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / (steps - warmup_steps)))
