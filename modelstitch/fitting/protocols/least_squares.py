"""The stitch with the least mean squared error to the expected representation, in closed form: one pass, no steps.

Torch is imported inside functions, since planning a study needs the costs without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from modelstitch.config.stitches import LeastSquares
from modelstitch.fitting.inputs import FitInputs
from modelstitch.fitting.work import PairWork, moments_bytes
from modelstitch.progress import track

if TYPE_CHECKING:
    from modelstitch.fitting.beginning import Fit

BATCH = 100


def solve(inputs: FitInputs) -> Fit:
    """Fit the stitches to all training images, without augmentation; the loss is the mean squared error."""
    import torch

    from modelstitch.fitting.beginning import Fit, moments_of
    from modelstitch.stitches.families import family_of

    sender, receiver, geometries, images, settings, _, label = inputs
    # Batches are small, since their patches are in float64.
    batches = track((batch for batch, _ in images.in_order(BATCH)), label, -(-len(images) // BATCH))
    moments = moments_of(sender, receiver, geometries, batches, torch.float64)
    family = family_of(settings.family.name)
    stitches = {cell: family.solve(moments, cell, settings.ridge, settings.family) for cell in geometries}
    loss = np.array([[moments.mean_squared_error(cell, stitch.linear.maps) for cell, stitch in stitches.items()]])
    return Fit(stitches, loss, np.full_like(loss, np.nan), len(images))


def image_operations(work: PairWork) -> int:
    """Operations for one image in addition to both networks: products of inputs with themselves and with targets.

    They are the same for every family, since each is solved from the normal equations. They are counted twice, since
    float64 takes twice the time.
    """
    total = 0
    for geometry in work.geometries.values():
        products = sum(2 * part.places * part.inputs * (part.inputs + part.outputs) for part in geometry.parts)
        total += 2 * products
    return total


def memory_bytes(settings: LeastSquares, work: PairWork) -> int:
    """Bytes of the normal equations."""
    return moments_bytes(work)
