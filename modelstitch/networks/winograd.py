"""3x3 convolutions with frozen weights by Winograd's minimal filtering, F(4x4, 3x3): a quarter of the multiplications.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (arXiv 1509.09308). The weights of a frozen network
are transformed once, so a pass costs two small transforms of the maps and 36 matrix products. The interpolation points
0, ±3/4, ±3/2, ∞ lose less than the usual 0, ±1, ±2, ∞: the error is about that of a direct convolution in float32.
"""

from fractions import Fraction
from functools import cache, cached_property
from typing import Any

import torch
from torch import Tensor, nn

OUTPUTS, TAPS = 4, 3
TILE = OUTPUTS + TAPS - 1
POINTS = (Fraction(0), Fraction(3, 4), Fraction(-3, 4), Fraction(3, 2), Fraction(-3, 2))
# Fewer channels and the transforms cost what the products save (one AVX2 core: 1.0x at 64, 1.4x at 128, 2.5x at 512).
CHANNELS = 128
# Tiles that are transformed together: enough rows for a matrix product, few enough for the caches.
TILES = 128


@cache
def cook_toom() -> tuple[Tensor, Tensor, Tensor]:
    """Matrices A (4, 6), G (6, 3) and B (6, 6) of the correlation of 6 inputs d with 3 taps g: y = A((G g) * (B d)).

    They are float64. Blahut, "Fast Algorithms for Signal Processing" (2010), section 5.2; the last point is infinity.
    """
    last = [Fraction(0)] * (TAPS - 1) + [Fraction(1)]
    outputs = [[point**power for point in POINTS] + [Fraction(power == OUTPUTS - 1)] for power in range(OUTPUTS)]
    taps, inputs = [], []
    for point in POINTS:
        others = [other for other in POINTS if other != point]
        polynomial = expand(others)
        scale = sum(coefficient * point**power for power, coefficient in enumerate(polynomial))
        taps.append([point**power / scale for power in range(TAPS)])
        inputs.append([*polynomial, Fraction(0)])
    matrices = (outputs, [*taps, last], [*inputs, expand(POINTS)])
    return tuple(
        torch.tensor([[float(value) for value in row] for row in rows], dtype=torch.float64) for rows in matrices
    )


def expand(roots: list[Fraction] | tuple[Fraction, ...]) -> list[Fraction]:
    """Coefficients, the constant one first, of the product of (x - root)."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        coefficients = [high - root * low for high, low in zip(shifted, [*coefficients, Fraction(0)], strict=True)]
    return coefficients


def transform_weights(weight: Tensor) -> Tensor:
    """Weights (C_out, C_in, 3, 3), float64, as `correlate` takes them: float32 (36, C_in, C_out)."""
    _, taps, _ = cook_toom()
    transformed = torch.einsum("pk,oikl,ql->pqio", taps, weight, taps)
    return transformed.reshape(TILE**2, weight.shape[1], weight.shape[0]).float().contiguous()


def correlate(maps: Tensor, weights: Tensor, bias: Tensor | None = None) -> Tensor:
    """3x3 correlation, padded by one, of float32 maps (N, C_in, H, W) with `transform_weights`' weights.

    H and W must be multiples of 4. Returns maps (N, C_out, H, W), channels-last.
    """
    outputs, _, inputs = (matrix.float() for matrix in cook_toom())
    count, in_channels, height, width = maps.shape
    out_channels = weights.shape[2]
    rows, columns = height // OUTPUTS, width // OUTPUTS
    result = torch.empty((count, out_channels, height, width), memory_format=torch.channels_last)
    tiled = result.permute(0, 2, 3, 1).view(count, rows, OUTPUTS, columns, OUTPUTS, out_channels)
    for part in maps.split(max(1, TILES // (rows * columns))):
        images = len(part)
        tiles = images * rows * columns
        padded = part.new_zeros(images, height + 2, width + 2, in_channels)
        padded[:, 1:-1, 1:-1] = part.permute(0, 2, 3, 1)
        image, row, column, _ = padded.stride()
        windows = padded.as_strided(
            (TILE, TILE, images, rows, columns, in_channels), (row, column, image, OUTPUTS * row, OUTPUTS * column, 1)
        )
        transformed = transform(inputs, windows.reshape(TILE, TILE, tiles * in_channels))
        products = torch.bmm(transformed.view(TILE**2, tiles, in_channels), weights)
        values = transform(outputs, products.view(TILE, TILE, tiles * out_channels))
        values = values.view(OUTPUTS, OUTPUTS, images, rows, columns, out_channels).permute(2, 3, 0, 4, 1, 5)
        target, tiled = tiled[:images], tiled[images:]
        if bias is None:
            target.copy_(values)
        else:
            torch.add(values, bias, out=target)
    return result


def transform(matrix: Tensor, values: Tensor) -> Tensor:
    """A matrix (m, n) applied to both of the first dimensions of values (n, n, K): (m, m, K)."""
    size, _, count = values.shape
    vertical = matrix @ values.view(size, size * count)
    return torch.matmul(matrix, vertical.view(len(matrix), size, count))


class WinogradConvolution(nn.Module):
    """A frozen 3x3 convolution of stride 1, padded by one, on float32 maps; its weights get no gradient.

    Maps whose sizes are not multiples of 4 go through the convolution itself.

    Args:
        convolution: in float64, so that its weights are transformed before they are rounded.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.exact = convolution.weight.detach()
        self.direct = convolution

    @staticmethod
    def suits(convolution: nn.Module) -> bool:
        """Whether a convolution is of this kind, and wide enough to be faster."""
        if type(convolution) is not nn.Conv2d:
            return False
        kind = (convolution.kernel_size, convolution.stride, convolution.padding, convolution.dilation)
        channels = min(convolution.in_channels, convolution.out_channels)
        plain = convolution.groups == 1 and convolution.padding_mode == "zeros"
        return kind == ((TAPS, TAPS), (1, 1), (1, 1), (1, 1)) and plain and channels >= CHANNELS

    @cached_property
    def weights(self) -> Tensor:
        """Transformed weights for the forward pass, (36, C_in, C_out)."""
        return transform_weights(self.exact)

    @cached_property
    def turned(self) -> Tensor:
        """Transformed weights for the gradient of the maps: channels exchanged, kernels rotated by half a turn."""
        return transform_weights(self.exact.transpose(0, 1).flip(2, 3))

    def forward(self, maps: Tensor) -> Tensor:
        if maps.shape[2] % OUTPUTS or maps.shape[3] % OUTPUTS:
            return self.direct(maps)
        return _Winograd.apply(maps, self)


class _Winograd(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, maps: Tensor, convolution: WinogradConvolution) -> Tensor:
        context.convolution = convolution
        return correlate(maps, convolution.weights, convolution.direct.bias)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return correlate(gradient, context.convolution.turned), None
