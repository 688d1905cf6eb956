"""What changes as training goes on."""

import math

# Of all steps, the share with soft labels. The others are for the task alone: its best stitch may beat the receiver.
SOFT_STEPS = 0.5


def warmup_cosine(step: int, steps: int, warmup_steps: int) -> float:
    """Factor on the peak rate at `step` of `steps`: linear warm-up, then half a cosine to 0.

    A warm-up longer than the training never reaches the peak: the schedule that the paper's stitches really had.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / (steps - warmup_steps)))
