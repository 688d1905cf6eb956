"""Permutation stitches: each of the receiver's channels is one of the sender's, with a scale and a bias of its own.

Permutations and positive scales are the symmetries of a ReLU network's layers (arXiv 2205.14258): representations that
differ by them alone have the same neurons. One-to-one matching of channels is that of arXiv 1511.07543. If the stitch
has fewer inputs than the receiver has channels, the other channels are constant; if it has more, as from patches of a
larger map, some inputs are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from modelstitch.config.families import Permutation
from modelstitch.stitches.families import linear
from modelstitch.stitches.families.linear import LinearMap, between
from modelstitch.stitches.families.linear import Stitch as LinearStitch
from modelstitch.stitches.geometry import Cell, Geometry
from modelstitch.stitches.parts import ParametrisedStitch, PartMoments, solved

if TYPE_CHECKING:
    from torch import Tensor

    from modelstitch.stitches.normal_equations import Moments

__all__ = ["Assignment", "Stitch", "between", "capacity", "initialise", "numbers", "operations", "solve"]

STATISTICS = True


class Assignment(NamedTuple):
    """For each channel, (O,): a scale, a bias, and the index of its input, int64, where -1 is none."""

    scale: Tensor
    bias: Tensor
    source: Tensor


class Stitch(ParametrisedStitch):
    """An assignment for each of the geometry's parts; scales and biases are trained."""

    KIND = Assignment
    FIXED = ("source",)

    @property
    def linear(self) -> LinearStitch:
        """The equal linear stitch."""
        maps = []
        for part, (scale, bias, source) in zip(self.geometry.parts, self.parts, strict=True):
            weight = scale.new_zeros(part.outputs, part.inputs)
            matched = scale * (source >= 0)
            maps.append(LinearMap(weight.scatter(1, source.clamp_min(0)[:, None], matched[:, None]), bias))
        return LinearStitch(self.geometry, tuple(maps))


def numbers(geometry: Geometry, settings: Permutation) -> int:
    """Scales, biases, and two numbers per channel for the assignment, whose integers have twice the size."""
    return sum(4 * part.outputs for part in geometry.parts)


def capacity(geometry: Geometry, settings: Permutation) -> int:
    """Biases, and scales of the channels that have an input; the finitely many assignments add nothing."""
    return sum(min(part.inputs, part.outputs) + part.outputs for part in geometry.parts)


def operations(geometry: Geometry, settings: Permutation) -> int:
    """Operations of a forward pass for one image: those of a linear map, most of them with zeros."""
    return linear.operations(geometry)


def initialise(geometry: Geometry, seed: int, settings: Permutation) -> Stitch:
    """Random assignments, with scale 1 and without bias."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    parts = []
    for part in geometry.parts:
        source = torch.full((part.outputs,), -1)
        chosen = torch.randperm(part.inputs, generator=generator)[: part.outputs]
        source[: len(chosen)] = chosen
        scale, bias = torch.ones(part.outputs), torch.zeros(part.outputs)
        parts.append(Assignment(scale, bias, source))
    return Stitch(geometry, tuple(parts))


def solve(moments: Moments, cell: Cell, ridge: float, settings: Permutation) -> Stitch:
    """The assignment of least mean squared error with scales that are not negative, by the Hungarian method; no ridge.

    The variance of a channel that an input explains is their covariance squared over the input's variance.
    """
    import torch
    from scipy.optimize import linear_sum_assignment

    def assignment(known: PartMoments) -> Assignment:
        mean, covariance, target_mean, cross = known.statistics
        variance = covariance.diagonal()[:, None]
        scales = torch.where(variance > 0, cross.clamp_min(0) / variance, 0.0)  # (D, O)
        explained = scales * cross.clamp_min(0)
        inputs, outputs = linear_sum_assignment(explained.cpu().numpy(), maximize=True)
        source = torch.full((known.part.outputs,), -1, device=scales.device)
        source[outputs] = torch.as_tensor(inputs, device=scales.device)
        taken = source.clamp_min(0)
        scale = torch.where(source >= 0, scales.T.gather(1, taken[:, None])[:, 0], 1.0)
        bias = target_mean - torch.where(source >= 0, scale * mean[taken], 0.0)
        return Assignment(scale, bias, source)

    return solved(moments, cell, ridge, initialise(moments.geometries[cell], 0, settings), assignment)
