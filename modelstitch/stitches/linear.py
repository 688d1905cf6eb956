"""Stitches: one convolution with bias from a sender's map to the shape of a receiver's map.

From a map that is k times larger, k x k with stride k; from one of the same size, 1 x 1; from a smaller one, 1 x 1 and
nearest upsampling, which equals upsampling first and is up to k**2 times cheaper (arXiv 2303.11277).
"""

import itertools
import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from modelstitch.errors import ModelstitchError
from modelstitch.networks.architectures import Shape

Cell = tuple[int, int]  # sender layer, receiver layer


class Geometry(NamedTuple):
    """How a map of one shape becomes one of another.

    `kernel` is the convolution's kernel and stride, `scale` the upsampling after it, both (height, width); at most one
    of the two is above 1 in a direction. Sizes that do not divide are padded with zeros, or cut, at the far edge.
    """

    source: Shape
    target: Shape
    kernel: tuple[int, int]
    scale: tuple[int, int]

    @classmethod
    def between(cls, source: Shape, target: Shape) -> "Geometry":
        """Geometry of the stitch from `source` to `target`.

        Raises:
            ModelstitchError: if no whole stride or scale leads from one size to the other.
        """
        sizes = list(zip(source[1:], target[1:], strict=True))
        kernel_height, kernel_width = (math.ceil(before / after) for before, after in sizes)
        scale_height, scale_width = (math.ceil(after / before) for before, after in sizes)
        kernel, scale = (kernel_height, kernel_width), (scale_height, scale_width)
        for (before, after), step, factor in zip(sizes, kernel, scale, strict=True):
            if math.ceil(before / step) * factor < after:
                raise ModelstitchError(
                    f"no stitch leads from a map {tuple(source)} to {tuple(target)}: image too small"
                )
        return cls(source, target, kernel, scale)


def in_order(cells: Iterable[Cell]) -> list[Cell]:
    """Cells as every array along cells has them: columns after each other, each from the first sender layer on."""
    return sorted(set(cells), key=lambda cell: (cell[1], cell[0]))


def geometries(
    sources: Mapping[int, Shape],
    targets: Mapping[int, Shape],
    sender_layers: Iterable[int],
    receiver_layers: Iterable[int],
) -> dict[Cell, Geometry]:
    """Geometry of every cell of some layers, `in_order`, from the shapes of both networks' layers.

    Raises:
        ModelstitchError: as of `Geometry.between`.
    """
    cells = in_order(itertools.product(sender_layers, receiver_layers))
    return {(i, j): Geometry.between(sources[i], targets[j]) for i, j in cells}


class Stitch(NamedTuple):
    """Weight (C_out, C_in, k, k) and bias (C_out,) of a stitch, float32, and its geometry."""

    weight: Tensor
    bias: Tensor
    geometry: Geometry

    def __call__(self, maps: Tensor) -> Tensor:
        """Stitched maps (N, C_out, H_out, W_out) of a sender's maps (N, C_in, H, W), in the precision of `maps`."""
        _, target, kernel, scale = self.geometry
        weight, bias = self.weight.to(maps.dtype), self.bias.to(maps.dtype)
        if kernel == (1, 1):
            stitched = F.conv2d(maps, weight, bias)
        else:
            # A strided convolution, whose gradient takes up to three times as long.
            stitched = F.linear(patches(maps, kernel), rows(weight), bias).permute(0, 3, 1, 2)
        if scale != (1, 1):
            stitched = F.interpolate(stitched, scale_factor=scale, mode="nearest")
            stitched = stitched[:, :, : target.height, : target.width]
        return stitched


def parameters(stitches: Iterable[Stitch]) -> list[Tensor]:
    """What training moves: weight and bias of each stitch, one stitch after the other."""
    return [tensor for stitch in stitches for tensor in (stitch.weight, stitch.bias)]


def to_tensors(stitches: Mapping[Cell, Stitch]) -> dict[str, Tensor]:
    """Stitches as a file holds them: `<sender layer>.<receiver layer>.weight` (C_out, C_in, k, k), `.bias` (C_out,)."""
    return {
        f"{i}.{j}.{name}": getattr(stitch, name).detach().cpu()
        for (i, j), stitch in stitches.items()
        for name in ("weight", "bias")
    }


def from_tensors(
    tensors: Mapping[str, Tensor],
    cells: Iterable[Cell],
    sources: Mapping[int, Shape],
    targets: Mapping[int, Shape],
    device: str = "cpu",
) -> dict[Cell, Stitch]:
    """The stitches of some cells, as `to_tensors` names them, from the shapes of both networks' layers."""
    return {
        (i, j): Stitch(
            *(tensors[f"{i}.{j}.{name}"].to(device) for name in ("weight", "bias")),
            Geometry.between(sources[i], targets[j]),
        )
        for i, j in cells
    }


def patches(maps: Tensor, kernel: tuple[int, int]) -> Tensor:
    """What a stitch multiplies the rows of its weight with: (N, h, w, k * k * C), of a sender's maps (N, C, H, W)."""
    height, width = kernel
    below, right = -maps.shape[2] % height, -maps.shape[3] % width
    if below or right:
        maps = F.pad(maps, (0, right, 0, below))
    count, channels, down, across = maps.shape
    pixels = maps.permute(0, 2, 3, 1).reshape(count, down // height, height, across // width, width, channels)
    return pixels.transpose(2, 3).flatten(3)


def rows(weight: Tensor) -> Tensor:
    """A stitch's weight (C_out, C_in, k, k) in the order of `patches`: (C_out, k * k * C_in)."""
    return weight.permute(0, 2, 3, 1).flatten(1)


def from_rows(rows: Tensor, geometry: Geometry) -> Tensor:
    """The weight (C_out, C_in, k, k) whose `rows` these are."""
    return rows.unflatten(1, (*geometry.kernel, geometry.source.channels)).permute(0, 3, 1, 2)


def initialise(geometry: Geometry, seed: int, device: str = "cpu") -> Stitch:
    """A stitch with weight and bias uniform in ±1/sqrt(fan-in), torch's own start for a convolution."""
    generator = torch.Generator().manual_seed(seed)
    shape = (geometry.target.channels, geometry.source.channels, *geometry.kernel)
    bound = math.prod(shape[1:]) ** -0.5
    weight = torch.empty(shape).uniform_(-bound, bound, generator=generator)
    bias = torch.empty(shape[:1]).uniform_(-bound, bound, generator=generator)
    return Stitch(weight.to(device).requires_grad_(), bias.to(device).requires_grad_(), geometry)


def identity(shape: Shape) -> Stitch:
    """The stitch that changes nothing, from a layer to one of the same shape."""
    weight = torch.eye(shape.channels).reshape(shape.channels, shape.channels, 1, 1)
    return Stitch(weight, torch.zeros(shape.channels), Geometry.between(shape, shape))
