"""Shapes of layers' outputs, which are feature maps, tokens or vectors, and how each of them is seen as a grid.

No torch is imported here, since planning needs shapes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

Layout = Literal["map", "map-last", "tokens", "vector"]


class Representation(NamedTuple):
    """Shape of a layer's output for one image.

    Attributes:
        channels: channels at each place.
        height, width: size of the grid of places; 1 x 1 for a vector.
        layout: order in a tensor: `map` (C, H, W), `map-last` (H, W, C), `tokens` (T, C), `vector` (C).
        extra: number of tokens before those of the grid, such as a class token.
    """

    channels: int
    height: int = 1
    width: int = 1
    layout: Layout = "map"
    extra: int = 0

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor of one image."""
        match self.layout:
            case "map":
                return self.channels, self.height, self.width
            case "map-last":
                return self.height, self.width, self.channels
            case "tokens":
                return self.extra + self.height * self.width, self.channels
            case _:
                return (self.channels,)

    @property
    def size(self) -> int:
        """Size in numbers."""
        return math.prod(self.shape)

    @property
    def channel_dimension(self) -> int:
        """The dimension of the channels in a tensor (N, *shape)."""
        return 1 if self.layout in ("map", "vector") else -1

    def per_channel(self, values: Tensor) -> Tensor:
        """Numbers (N, channels) in a shape that broadcasts over a tensor (N, *shape)."""
        sides = [1] * len(self.shape)
        sides[self.channel_dimension - 1 if self.channel_dimension > 0 else -1] = self.channels
        return values.reshape(len(values), *sides)

    def channel_sums(self, values: Tensor) -> Tensor:
        """Sums over all but the channels of a tensor (N, *shape): (channels,)."""
        others = [dimension for dimension in range(values.ndim) if dimension != self.channel_dimension % values.ndim]
        return values.sum(dim=others)

    def split(self, values: Tensor) -> tuple[Tensor, Tensor | None]:
        """Split tensors (N, *shape) into a grid (N, C, H, W) and extra tokens (N, extra, C), None if there are none."""
        match self.layout:
            case "map":
                return values, None
            case "map-last":
                return values.permute(0, 3, 1, 2), None
            case "tokens":
                grid = values[:, self.extra :].transpose(1, 2).unflatten(2, self.grid)
                return grid, values[:, : self.extra] if self.extra else None
            case _:
                return values[:, :, None, None], None
