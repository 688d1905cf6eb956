"""Convolutions of k x k: a place of the receiver sees the sender's place and its neighbours, zeros beyond the border.

As `torch.nn.Conv2d(..., kernel_size=k, padding=k // 2)` on maps of one size. A smaller grid is seen so before it is
upsampled, and one whose size does not divide after it is resized. From a larger grid, whose patches are k x k already,
and between grids of one place, it is the linear stitch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelstitch.config.families import Convolution
from modelstitch.stitches.families.linear import Stitch, initialise, numbers, operations, solve
from modelstitch.stitches.geometry import Geometry

if TYPE_CHECKING:
    from modelstitch.networks.representations import Representation

__all__ = ["Stitch", "between", "initialise", "numbers", "operations", "solve"]


def between(source: Representation, target: Representation, settings: Convolution) -> Geometry:
    """The geometry with a margin of neighbours around each place."""
    geometry = Geometry.between(source, target)
    if geometry.kernel != (1, 1) or geometry.grid == (1, 1):
        return geometry
    return geometry._replace(margin=settings.kernel // 2)
