"""Convolutions of k x k: the input of a place is the sender's place with its neighbours, and zeros beyond the border.

Between maps of one size it is `torch.nn.Conv2d(..., kernel_size=k, padding=k // 2)`. A smaller grid is convolved before
it is upsampled, and one whose size does not divide after it is resized. It is the linear stitch for a larger grid,
which has patches already, and between grids of one place.
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
