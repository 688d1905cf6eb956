"""Batch normalisation before a linear map: each input of a stitch has mean 0 and variance 1.

The statistics are those of the training images, and are fixed. The sender is frozen, so statistics of a batch would
only add noise, and make a cell depend on the images in the batch. The family can therefore express the same maps as the
linear one, but its start and its steps do not depend on the scale of the sender. An affine map within the
normalisation, or the second normalisation of Bansal et al. (arXiv 2106.07682), would be redundant factors of the same
weights.
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
    """Weight (O, D) and bias (O,) for inputs that are normalised by a mean (D,) and a deviation (D,)."""

    weight: Tensor
    bias: Tensor
    mean: Tensor
    deviation: Tensor

    def linear_map(self) -> LinearMap:
        weight = self.weight / self.deviation
        return LinearMap(weight, self.bias - weight @ self.mean)


class Stitch(ParametrisedStitch):
    """A linear map of normalised inputs for each of the geometry's parts; weights and biases are trained."""

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
    """Weights and biases of a fresh linear stitch, and inputs that are not normalised yet."""
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
