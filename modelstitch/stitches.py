"""Stitches: one convolution with bias from a sender's map to the shape of a receiver's map.

From a map that is k times larger, k x k with stride k; from one of the same size, 1 x 1; from a smaller one, 1 x 1 and
nearest upsampling, which equals upsampling first and is up to k**2 times cheaper (arXiv 2303.11277).
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from modelstitch.architectures import Shape
from modelstitch.errors import ModelstitchError


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
            height, width = maps.shape[2:]
            below, right = -height % kernel[0], -width % kernel[1]
            if below or right:
                maps = F.pad(maps, (0, right, 0, below))
            stitched = F.conv2d(maps, weight, bias, stride=kernel)
        if scale != (1, 1):
            stitched = F.interpolate(stitched, scale_factor=scale, mode="nearest")
            stitched = stitched[:, :, : target.height, : target.width]
        return stitched


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
