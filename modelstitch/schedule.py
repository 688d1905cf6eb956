"""How many steps a training has, and how its learning rate goes."""

import math


def count_steps(epochs: float, batch: int, images: int) -> int:
    """Steps of a training on so many images: full batches only, at least one."""
    return max(1, round(epochs * (images // batch)))


def warmup_cosine(step: int, steps: int, warmup_steps: int) -> float:
    """Factor on the peak rate at `step` of `steps`: linear warm-up, then half a cosine to 0.

    A warm-up longer than the training never reaches the peak: the schedule that the paper's stitches really had.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / (steps - warmup_steps)))
