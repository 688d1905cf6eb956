"""Splits representations into the inputs of a stitch's parts, and assembles them from the parts' outputs."""

import torch
import torch.nn.functional as F
from torch import Tensor

from modelstitch.stitches.geometry import Geometry


def inputs(values: Tensor, geometry: Geometry) -> list[Tensor]:
    """Inputs of each part from a sender's representation (N, *source.shape): (N, ..., D); (N, 1, D) of extra tokens."""
    if geometry.all_tokens and geometry.resize is None:
        return [values]
    grid, extra = geometry.source.split(values)
    sized = grid if geometry.resize is None else resized(grid, geometry.resize, geometry.interpolation)
    seen = patches(sized, geometry.kernel, geometry.margin)
    if geometry.all_tokens:
        return [torch.cat((extra, seen.flatten(1, 2)), dim=1)]
    if not geometry.target.extra:
        if extra is not None:
            beside = extra.flatten(1)[:, None, None].expand(-1, *seen.shape[1:3], -1)
            seen = torch.cat((seen, beside), dim=3)
        return [seen]
    return [seen, grid.mean(dim=(2, 3))[:, None] if extra is None else extra.flatten(1)[:, None]]


def expected(values: Tensor, geometry: Geometry) -> list[Tensor]:
    """Expected outputs of each part, (N, ..., O), from the receiver's representation (N, *target.shape).

    Before an upsampling, the expected output is the mean over the places that will share a value.
    """
    if geometry.all_tokens:
        return [values]
    grid, extra = geometry.target.split(values)
    if geometry.scale != (1, 1):
        grid = F.avg_pool2d(grid, geometry.scale)
    places = grid.permute(0, 2, 3, 1)
    return [places] if extra is None else [places, extra.flatten(1)[:, None]]


def assemble(given: list[Tensor], geometry: Geometry) -> Tensor:
    """The stitched representation (N, *target.shape), from the outputs of each part (N, ..., O)."""
    target = geometry.target
    if geometry.all_tokens:
        return given[0]
    places = given[0]
    if target.layout == "vector":
        return places.flatten(1)
    if geometry.scale == (1, 1) and target.layout == "map-last":
        return places
    grid = places.permute(0, 3, 1, 2)
    if geometry.scale != (1, 1):
        grid = F.interpolate(grid, scale_factor=geometry.scale, mode="nearest")
    if target.layout == "map":
        return grid
    if target.layout == "map-last":
        return grid.permute(0, 2, 3, 1)
    tokens = grid.flatten(2).transpose(1, 2)
    return torch.cat((given[1].unflatten(2, (target.extra, -1))[:, 0], tokens), dim=1) if target.extra else tokens


def resized(grid: Tensor, size: tuple[int, int], interpolation: str | None = None) -> Tensor:
    """Resize a grid (N, C, H, W): `bilinear`, `nearest`, or None: by means if the sizes divide, else bilinear."""
    if interpolation == "nearest":
        return F.interpolate(grid, size, mode="nearest")
    if not interpolation and all(before % after == 0 for before, after in zip(grid.shape[2:], size, strict=True)):
        return F.adaptive_avg_pool2d(grid, size)
    return F.interpolate(grid, size, mode="bilinear", align_corners=False)


def patches(grid: Tensor, kernel: tuple[int, int], margin: int = 0) -> Tensor:
    """Adjacent patches of a grid (N, C, H, W): (N, h, w, k * k * C), in the order row, column, channel.

    With a margin they are larger by it on each side, and overlap; zeros surround the grid.
    """
    if margin:
        padded = F.pad(grid, [margin] * 4)
        for dimension, step in enumerate(kernel, start=2):
            padded = padded.unfold(dimension, step + 2 * margin, step)
        return padded.permute(0, 2, 3, 4, 5, 1).flatten(3)
    places = grid.permute(0, 2, 3, 1)
    if kernel == (1, 1):
        return places
    height, width = kernel
    count, down, across, channels = places.shape
    pixels = places.reshape(count, down // height, height, across // width, width, channels)
    return pixels.transpose(2, 3).flatten(3)
