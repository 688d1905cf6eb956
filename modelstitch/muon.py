"""Muon for stitches, as if what they see were whitened: one rate for all, whatever their sizes and scales."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from modelstitch.least_squares import Moments, Whitening
from modelstitch.optimisers import Optimiser
from modelstitch.stitches import Cell, Geometry, Stitch, from_rows, parameters, rows

MOMENTUM = 0.9
# As a share of the mean variance. Small variances are mostly noise, and Muon levels what is left.
WHITENING_RIDGE = 0.1


class WhitenedMuon(Optimiser):
    """Muon on the weights that stitches would have if what they see had zero mean, and of variances a mean of 1.

    With patches x of mean m, and a matrix P that whitens them, a stitch's W x + b is V [P (x - m), 1]. Muon moves V by
    about the nearest semi-orthogonal matrix to the Nesterov momentum of its gradients (Jordan et al., "Muon", 2024), so
    at a `rate` r what a stitch gives moves, as a vector over channels, by r standard deviations of what it should give.

    V is not made. Where the momentum is G for W and g for b, that for V is [H P', g] with H = G - g m', its product
    with itself is S = H K H' + g g', and V moves by R [H P', g] with R about the inverse root of S: W by R H K and b by
    R g - R H K m, where K = P' P is the inverse of the patches' covariance.

    Args:
        stitches: moved in place.
        moments: of their cells: whitening and standard deviations.
    """

    def __init__(self, stitches: Mapping[Cell, Stitch], moments: Moments) -> None:
        super().__init__(parameters(stitches.values()))
        whitenings = moments.whitenings(WHITENING_RIDGE, self.parameters[0].dtype)
        blocks: dict[tuple[int, Geometry], list[Cell]] = {}  # of cells that see the same patches
        for cell, stitch in stitches.items():
            blocks.setdefault((cell[0], stitch.geometry), []).append(cell)
        alike: dict[tuple[Geometry, int], list[list[Cell]]] = {}
        for (_, geometry), cells in blocks.items():
            alike.setdefault((geometry, len(cells)), []).append(cells)
        self.groups = [
            _Group(
                [stitches[cell] for cells in group for cell in cells],
                [whitenings[cells[0]] for cells in group],
                [moments.deviation(cell) for cells in group for cell in cells],
            )
            for group in alike.values()
        ]

    @torch.no_grad()
    def step(self) -> None:
        for group in self.groups:
            group.step(self.rate)


class _Group:
    """Stitches of one geometry that move together: as many for each of B whitenings, n.

    Args:
        stitches: those of a whitening one after the other.
        whitenings: of their patches.
        deviations: of what each stitch should give.
    """

    def __init__(
        self, stitches: Sequence[Stitch], whitenings: Sequence[Whitening], deviations: Sequence[float]
    ) -> None:
        self.stitches = stitches
        self.blocks = (len(whitenings), len(stitches) // len(whitenings))
        self.means = torch.stack([whitening.mean for whitening in whitenings])[:, None, None]  # (B, 1, 1, D)
        self.inverses = torch.stack([whitening.inverse for whitening in whitenings])  # (B, D, D)
        # Bounds what the inverse makes of a gradient.
        self.largest = self.inverses.diagonal(dim1=1, dim2=2).amax(dim=1).sqrt()[:, None, None, None]
        outputs, inputs = rows(stitches[0].weight).shape
        sizes = [deviation / min(outputs, inputs + 1) ** 0.5 for deviation in deviations]
        self.sizes = self.means.new_tensor(sizes).view(*self.blocks, 1, 1)
        self.momenta = self.means.new_zeros(*self.blocks, outputs, inputs + 1)  # the last column is the bias's

    def step(self, rate: float) -> None:
        weights = torch.stack([rows(stitch.weight.grad) for stitch in self.stitches])
        biases = torch.stack([stitch.bias.grad for stitch in self.stitches])
        gradients = torch.cat((weights, biases[:, :, None]), dim=2).unflatten(0, self.blocks)
        self.momenta.mul_(MOMENTUM).add_(gradients)
        inner, constant = (gradients + MOMENTUM * self.momenta).tensor_split((-1,), dim=3)
        inner = inner - constant * self.means
        # What is squared below must neither overflow nor vanish.
        scale = torch.maximum(
            constant.abs().amax(dim=(2, 3), keepdim=True), inner.abs().amax(dim=(2, 3), keepdim=True) * self.largest
        ).clamp_min(torch.finfo(inner.dtype).tiny)
        inner, constant = inner / scale, constant / scale
        seen = (inner.flatten(1, 2) @ self.inverses).view_as(inner)
        roots = inverse_roots(seen @ inner.mT + constant @ constant.mT) * (rate * self.sizes)
        moved = roots @ seen
        shifted = (roots @ constant).squeeze(3) - (moved * self.means).sum(dim=3)
        for stitch, weight, bias in zip(self.stitches, moved.flatten(0, 1), shifted.flatten(0, 1), strict=True):
            stitch.weight.sub_(from_rows(weight, stitch.geometry))
            stitch.bias.sub_(bias)


def inverse_roots(squares: Tensor) -> Tensor:
    """About the inverse roots R of matrices S = G G', (..., n, n): R G is about semi-orthogonal.

    Its singular values are .7 to 1.2, by five Newton-Schulz steps of the quintic of Jordan et al., whose slope at 0
    lifts small values fast; here on S, which is smaller than G. Where S is 0, so is R G.
    """
    traces = squares.diagonal(dim1=-2, dim2=-1).sum(dim=-1)[..., None, None].clamp_min(torch.finfo(squares.dtype).tiny)
    squares, roots = squares / traces, None
    for _ in range(5):
        factors = 2.0315 * squares @ squares - 4.775 * squares
        factors.diagonal(dim1=-2, dim2=-1).add_(3.4445)
        roots = factors if roots is None else factors @ roots
        squares = factors @ squares @ factors
    return roots / traces.sqrt()
