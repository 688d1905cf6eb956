"""Linear stitches of limited rank, which pass on a projection of the sender's channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from modelstitch.config.families import LowRank
from modelstitch.stitches.families import linear
from modelstitch.stitches.families.linear import LinearMap, between
from modelstitch.stitches.geometry import Cell, Geometry, Part
from modelstitch.stitches.parts import ParametrisedStitch, PartMoments, solved

if TYPE_CHECKING:
    from torch import Tensor

    from modelstitch.stitches.normal_equations import Moments

__all__ = ["Factors", "Stitch", "between", "capacity", "initialise", "numbers", "operations", "solve"]


class Factors(NamedTuple):
    """Weights (O, R) and (R, D), whose product is the weight of the map, and a bias (O,)."""

    up: Tensor
    down: Tensor
    bias: Tensor

    def linear_map(self) -> LinearMap:
        return LinearMap(self.up @ self.down, self.bias)


class Stitch(ParametrisedStitch):
    """The factors of a linear map for each of the geometry's parts."""

    KIND = Factors


def rank_of(part: Part, settings: LowRank) -> int:
    """The largest rank that the settings and a map of this size allow."""
    return min(settings.rank, part.inputs, part.outputs)


def numbers(geometry: Geometry, settings: LowRank) -> int:
    """Weights of both factors, and biases."""
    return sum(rank_of(part, settings) * (part.inputs + part.outputs) + part.outputs for part in geometry.parts)


def capacity(geometry: Geometry, settings: LowRank) -> int:
    """Dimension of the maps of this rank, which do not change with the basis between the factors."""
    return numbers(geometry, settings) - sum(rank_of(part, settings) ** 2 for part in geometry.parts)


def operations(geometry: Geometry, settings: LowRank) -> int:
    """Operations of a forward pass for one image: the factors are multiplied first."""
    product = sum(2 * part.outputs * rank_of(part, settings) * part.inputs for part in geometry.parts)
    return linear.operations(geometry) + product


def initialise(geometry: Geometry, seed: int, settings: LowRank) -> Stitch:
    """Factors and bias uniform in ±1/sqrt(inputs), like two layers of torch; the outer one has the rank as inputs."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    parts = []
    for part in geometry.parts:
        rank = rank_of(part, settings)
        tensors = []
        for shape, inputs in (
            ((part.outputs, rank), rank),
            ((rank, part.inputs), part.inputs),
            ((part.outputs,), rank),
        ):
            tensors.append(torch.empty(shape).uniform_(-(inputs**-0.5), inputs**-0.5, generator=generator))
        parts.append(Factors(*tensors))
    return Stitch(geometry, tuple(parts))


def solve(moments: Moments, cell: Cell, ridge: float, settings: LowRank) -> Stitch:
    """Reduced-rank regression (Izenman 1975): the map of least mean squared error among those of this rank.

    It is the map without the limit, projected to the directions of largest variance of its outputs.
    """

    def factors(known: PartMoments) -> Factors:
        mean, _, target_mean, _ = known.statistics
        up, down = reduced(known, rank_of(known.part, settings))
        return Factors(up, down, target_mean - up @ down @ mean)

    return solved(moments, cell, ridge, initialise(moments.geometries[cell], 0, settings), factors)


def reduced(known: PartMoments, rank: int) -> tuple[Tensor, Tensor]:
    """Factors (O, R) and (R, D), float64 and of equal norm, of the map of a rank that has the least squared error."""
    import torch

    weight = known.nearest.weight.double()
    fitted = weight @ known.statistics.cross_covariance  # covariance of what the map without a limit gives
    _, directions = torch.linalg.eigh(fitted + fitted.T)
    kept = directions[:, -rank:]
    left, values, right = torch.linalg.svd(kept.T @ weight, full_matrices=False)
    return kept @ left * values.sqrt(), values.sqrt()[:, None] * right
