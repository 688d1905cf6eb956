"""Batch normalisation before a linear map: each number that a stitch sees has mean 0 and variance 1.

The statistics are those of the training images and stay as they are: the sender is frozen, so those of a batch would
add noise, and a cell would depend on which images are stitched together. So the family expresses what the linear one
does, from a start and by steps that don't depend on the scale of what the sender gives; an affine map within the
normalisation, and the second one that Bansal et al. put after the map (arXiv 2106.07682), would be more factors of
the same weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from modelstitch.config.families import BatchNorm
from modelstitch.stitches.families import linear
from modelstitch.stitches.families.linear import LinearMap, between
from modelstitch.stitches.geometry import Cell, Geometry
from modelstitch.stitches.parts import ParametrisedStitch, PartMoments, solved

if TYPE_CHECKING:
    from torch import Tensor

    from modelstitch.stitches.normal_equations import Moments

__all__ = ["Normalised", "Stitch", "between", "capacity", "initialise", "numbers", "operations", "solve"]

STATISTICS = True
EPSILON = 1e-5  # added to variances, as torch does


class Normalised(NamedTuple):
    """Weight (O, D) and bias (O,) of what is normalised by a mean (D,) and a deviation (D,)."""

    weight: Tensor
    bias: Tensor
    mean: Tensor
    deviation: Tensor

    def linear_map(self) -> LinearMap:
        weight = self.weight / self.deviation
        return LinearMap(weight, self.bias - weight @ self.mean)


class Stitch(ParametrisedStitch):
    """A linear map of normalised inputs for each of the geometry's parts; training moves weights and biases."""

    KIND = Normalised
    FIXED = ("mean", "deviation")


def numbers(geometry: Geometry, settings: BatchNorm) -> int:
    """Weights, biases and statistics."""
    return linear.numbers(geometry) + sum(2 * part.inputs for part in geometry.parts)


def capacity(geometry: Geometry, settings: BatchNorm) -> int:
    """Weights and biases."""
    return linear.numbers(geometry)


def operations(geometry: Geometry, settings: BatchNorm) -> int:
    """Operations of a forward pass for one image: those of a linear map."""
    return linear.operations(geometry)


def initialise(geometry: Geometry, seed: int, settings: BatchNorm) -> Stitch:
    """Weights and biases as those of a linear stitch, of inputs as they are."""
    import torch

    maps = linear.initialise(geometry, seed).maps
    parts = (Normalised(*each, torch.zeros(each.weight.shape[1]), torch.ones(each.weight.shape[1])) for each in maps)
    return Stitch(geometry, tuple(parts))


def solve(moments: Moments, cell: Cell, ridge: float, settings: BatchNorm) -> Stitch:
    """The stitch of least mean squared error, which equals the linear one."""

    def normalised(known: PartMoments) -> Normalised:
        mean, covariance, target_mean, _ = known.statistics
        deviation = (covariance.diagonal().clamp_min(0) + EPSILON).sqrt()
        return Normalised(known.nearest.weight * deviation, target_mean, mean, deviation)

    return solved(moments, cell, ridge, initialise(moments.geometries[cell], 0, settings), normalised)
