"""Resizing, then a linear map of each place: the sender's grid is brought to the size of the receiver's first.

Balogh and Jelasity (arXiv 2412.11299) and others do so, by bilinear interpolation or the nearest place, without
smoothing: bilinear resizing takes means of 2 x 2 places from a grid twice as large, but ignores most places of one four
times as large. Between grids of one size, and from or to a single place such as a vector, it is the linear stitch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelstitch.config.families import Resized
from modelstitch.stitches.families.linear import Stitch, initialise, numbers, operations, solve
from modelstitch.stitches.geometry import Geometry

if TYPE_CHECKING:
    from modelstitch.networks.representations import Representation

__all__ = ["Stitch", "between", "initialise", "numbers", "operations", "solve"]


def between(source: Representation, target: Representation, settings: Resized) -> Geometry:
    """The geometry that resizes by the settings' mode."""
    if source.grid == target.grid or (1, 1) in (source.grid, target.grid):
        return Geometry.between(source, target)
    return Geometry(source, target, target.grid, (1, 1), (1, 1), interpolation=settings.mode)
