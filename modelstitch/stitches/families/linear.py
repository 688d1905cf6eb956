"""Linear stitches: one linear map with bias at each place, which is the paper's convolution (arXiv 2303.11277).

All families import torch where it is used, since planning needs their geometry and cost without it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from modelstitch.config.families import Linear
from modelstitch.networks.representations import Representation
from modelstitch.stitches.geometry import Cell, Geometry
from modelstitch.stitches.parted import PartedStitch

if TYPE_CHECKING:
    from torch import Tensor

    from modelstitch.stitches.normal_equations import Moments


class LinearMap(NamedTuple):
    """Weight (O, D) and bias (O,) of one part, float32; inputs of a patch are in the order row, column, channel."""

    weight: Tensor
    bias: Tensor


class Stitch(PartedStitch):
    """A linear map for each of the geometry's parts."""

    KIND = LinearMap

    @property
    def maps(self) -> tuple[LinearMap, ...]:
        """The parts, under the name that tells Muon that their weights are free."""
        return self.parts

    def at_places(self, values: Tensor) -> list[Tensor]:
        """Outputs of each part before any upsampling, (N, ..., O)."""
        import torch.nn.functional as F

        from modelstitch.stitches.assembly import inputs

        source, target, resize, kernel, _, margin, _ = self.geometry
        maps = [LinearMap(part.weight.to(values.dtype), part.bias.to(values.dtype)) for part in self.maps]
        if (source.layout, target.extra, resize, kernel) == ("map", 0, None, (1, 1)):
            weight, bias = maps[0]
            side = 1 + 2 * margin
            kernels = weight.unflatten(1, (side, side, -1)).permute(0, 3, 1, 2) if margin else weight[:, :, None, None]
            return [F.conv2d(values, kernels, bias, padding=margin).permute(0, 2, 3, 1)]
        # Of patches: a strided convolution, whose gradient takes up to three times as long.
        return [F.linear(seen, *part) for seen, part in zip(inputs(values, self.geometry), maps, strict=True)]

    @property
    def linear(self) -> Stitch:
        """The stitch itself; every linear family has its equal linear stitch."""
        return self


def between(source: Representation, target: Representation, settings: Linear | None = None) -> Geometry:
    """The geometry between any two representations."""
    return Geometry.between(source, target)


def numbers(geometry: Geometry, settings: Linear | None = None) -> int:
    """Weights and biases."""
    return sum((part.inputs + 1) * part.outputs for part in geometry.parts)


def operations(geometry: Geometry, settings: Linear | None = None) -> int:
    """Operations of a forward pass for one image."""
    return sum(2 * part.places * part.inputs * part.outputs for part in geometry.parts)


def initialise(geometry: Geometry, seed: int, settings: Linear | None = None) -> Stitch:
    """A stitch with weights and biases uniform in ±1/sqrt(inputs), as torch initialises a convolution."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    maps = []
    for part in geometry.parts:
        bound = part.inputs**-0.5
        weight = torch.empty(part.outputs, part.inputs).uniform_(-bound, bound, generator=generator)
        bias = torch.empty(part.outputs).uniform_(-bound, bound, generator=generator)
        maps.append(LinearMap(weight, bias))
    if geometry.kernel != (1, 1):
        weight = maps[0].weight
        patch = math.prod(geometry.kernel) * geometry.source.channels
        kernels = weight[:, :patch].unflatten(1, (geometry.source.channels, *geometry.kernel))  # drawn as torch does
        weight = torch.cat((kernels.permute(0, 2, 3, 1).flatten(1), weight[:, patch:]), dim=1)
        maps[0] = maps[0]._replace(weight=weight)
    return Stitch(geometry, tuple(maps))


def solve(moments: Moments, cell: Cell, ridge: float, settings: Linear | None = None) -> Stitch:
    """The stitch of least mean squared error; NaN if the moments are not finite."""
    geometry = moments.geometries[cell]
    parts = range(len(geometry.parts))
    return Stitch(geometry, tuple(LinearMap(*moments.solve(cell, part, ridge)) for part in parts))
