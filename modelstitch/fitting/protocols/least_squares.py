"""The stitch of least mean squared error to the expected representation, in closed form: one pass, no step.

Torch is imported where it is used: planning a study asks what this costs.
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
    """The stitches over all images as they are; the loss is their mean squared error."""
    import torch

    from modelstitch.fitting.beginning import Fit, moments_of
    from modelstitch.stitches.families import family_of

    sender, receiver, geometries, images, settings, _, label = inputs
    # Small batches: their patches are in float64.
    batches = track((batch for batch, _ in images.in_order(BATCH)), label, -(-len(images) // BATCH))
    moments = moments_of(sender, receiver, geometries, batches, torch.float64)
    family = family_of(settings.family.name)
    stitches = {cell: family.solve(moments, cell, settings.ridge, settings.family) for cell in geometries}
    loss = np.array([[moments.mean_squared_error(cell, stitch.linear.maps) for cell, stitch in stitches.items()]])
    return Fit(stitches, loss, np.full_like(loss, np.nan), len(images))


def image_operations(work: PairWork) -> int:
    """Of an image, beside both networks: a stitch's inputs squared, and their products with what it should give.

    Whatever the family: each is found from the normal equations.

    In float64, which takes twice the time.
    """
    total = 0
    for geometry in work.geometries.values():
        products = sum(2 * part.places * part.inputs * (part.inputs + part.outputs) for part in geometry.parts)
        total += 2 * products
    return total


def memory_bytes(settings: LeastSquares, work: PairWork) -> int:
    """Beside the stitches: the normal equations."""
    return moments_bytes(work)
