"""Orthogonal stitches: a rotation or reflection, one scale for all channels, and a bias.

Two representations that are equal up to these have the same geometry: the orthogonal Procrustes problem (Schönemann
1966), with its usual isotropic scale and centring. Between unequal sizes the matrix is semi-orthogonal, as if the
smaller side were padded with zeros.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from modelstitch.config.families import Orthogonal
from modelstitch.stitches.families import linear
from modelstitch.stitches.families.linear import LinearMap, between
from modelstitch.stitches.geometry import Cell, Geometry
from modelstitch.stitches.parts import ParametrisedStitch, PartMoments, solved

if TYPE_CHECKING:
    from torch import Tensor

    from modelstitch.stitches.normal_equations import Moments

__all__ = ["Rotation", "Stitch", "between", "capacity", "initialise", "numbers", "operations", "orthonormal", "solve"]


class Rotation(NamedTuple):
    """A matrix (O, D) whose orthonormal factor is the rotation, a scale () and a bias (O,)."""

    matrix: Tensor
    scale: Tensor
    bias: Tensor

    def linear_map(self) -> LinearMap:
        return LinearMap(self.scale * orthonormal(self.matrix), self.bias)


class Stitch(ParametrisedStitch):
    """A rotation for each of the geometry's parts."""

    KIND = Rotation


def orthonormal(matrix: Tensor) -> Tensor:
    """The semi-orthogonal factor (O, D) of a matrix (O, D) of full rank, by QR of its longer side.

    A semi-orthogonal matrix is its own factor. With this, any optimiser may update the matrix, and the stitch is
    orthogonal after every step.
    """
    import torch

    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    basis, triangle = torch.linalg.qr(tall)
    basis = basis * triangle.diagonal().detach().sign()  # unique, and continuous in the matrix
    return basis if tall is matrix else basis.T


def numbers(geometry: Geometry, settings: Orthogonal) -> int:
    """Matrices, scales and biases."""
    return linear.numbers(geometry) + len(geometry.parts)


def capacity(geometry: Geometry, settings: Orthogonal) -> int:
    """Dimension of the semi-orthogonal matrices, scales and biases."""
    dependent = 0
    for part in geometry.parts:
        smaller = min(part.inputs, part.outputs)
        dependent += smaller * (smaller + 1) // 2
    return numbers(geometry, settings) - dependent


def operations(geometry: Geometry, settings: Orthogonal) -> int:
    """Operations of a forward pass for one image, without the QR, which is done once per batch."""
    return linear.operations(geometry)


def initialise(geometry: Geometry, seed: int, settings: Orthogonal) -> Stitch:
    """Uniformly random rotations, with scale 1 and without bias."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    drawn = [torch.randn(part.outputs, part.inputs, generator=generator) for part in geometry.parts]
    parts = (Rotation(orthonormal(each), torch.ones(()), torch.zeros(len(each))) for each in drawn)
    return Stitch(geometry, tuple(parts))


def solve(moments: Moments, cell: Cell, ridge: float, settings: Orthogonal) -> Stitch:
    """Orthogonal Procrustes by the SVD of the cross-covariance, then the best scale; no ridge.

    If the stitch has more inputs than the receiver has channels, it is the optimum for targets padded by zeros, the
    usual closed form; without padding there is none.
    """
    import torch

    def rotation(known: PartMoments) -> Rotation:
        mean, covariance, target_mean, cross = known.statistics
        left, values, right = torch.linalg.svd(cross.T, full_matrices=False)
        matrix = left @ right
        power = torch.einsum("od,de,oe->", matrix, covariance, matrix)
        scale = values.sum() / power if power > 0 else torch.zeros_like(power)
        return Rotation(matrix, scale, target_mean - scale * (matrix @ mean))

    return solved(moments, cell, ridge, initialise(moments.geometries[cell], 0, settings), rotation)
