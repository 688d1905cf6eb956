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
    """Muon on the weights that stitches would have if what they see had zero mean, and variances whose mean is 1.

    With patches x of mean m, and a matrix P that whitens them, a stitch's W x + b is V [P (x - m), 1]. Muon moves V by
    about the nearest semi-orthogonal matrix to the Nesterov momentum of its gradients (Jordan et al., "Muon", 2024), so
    at a `rate` r what a stitch gives moves, as a vector over channels, by r standard deviations of what it should give.

    V is not made. Where the momentum is G for W and g for b, that for V is [H P', g] with H = G - g m', its product
    with itself is S = H K H' + g g', and V moves by R [H P', g] with R about the inverse root of S: W by R H K and b by
    R g - R H K m, where K = P' P is the inverse of the patches' covariance. R is brought to a step whose norm is about
    the rate times the standard deviation.

    Args:
        stitches: moved in place.
        moments: of their cells: whitening and standard deviations.
    """

    def __init__(self, stitches: Mapping[Cell, Stitch], moments: Moments) -> None:
        super().__init__(parameters(stitches.values()))
        whitenings = moments.whitenings(WHITENING_RIDGE, self.parameters[0].dtype)
        sharing: dict[tuple[int, Geometry], list[Cell]] = {}  # of cells that see the same patches
        for cell, stitch in stitches.items():
            sharing.setdefault((cell[0], stitch.geometry), []).append(cell)
        alike: dict[tuple[Geometry, int], list[list[Cell]]] = {}
        for (_, geometry), cells in sharing.items():
            alike.setdefault((geometry, len(cells)), []).append(cells)
        self.together = [
            _Together(
                [stitches[cell] for cells in several for cell in cells],
                [whitenings[cells[0]] for cells in several],
                [moments.deviation(cell) for cells in several for cell in cells],
            )
            for several in alike.values()
        ]

    @torch.no_grad()
    def step(self) -> None:
        self.gradients()  # of every stitch, or none is moved
        for stitches in self.together:
            stitches.step(self.rate)


class _Together:
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
        self.layout = (len(whitenings), len(stitches) // len(whitenings))  # (B, n)
        self.means = torch.stack([whitening.mean for whitening in whitenings])[:, None, None]  # (B, 1, 1, D)
        self.inverses = torch.stack([whitening.inverse_covariance for whitening in whitenings])  # (B, D, D)
        # (B, 1, 1, 1): times D and the largest of H it bounds H P'.
        self.bounds = self.inverses.diagonal(dim1=1, dim2=2).amax(dim=1).sqrt()[:, None, None, None]
        outputs, inputs = rows(stitches[0].weight).shape
        lengths = [deviation / min(outputs, inputs + 1) ** 0.5 for deviation in deviations]
        self.lengths = self.means.new_tensor(lengths).view(*self.layout, 1, 1)
        self.momenta = self.means.new_zeros(*self.layout, outputs, inputs + 1)  # the last column is the bias's

    def step(self, rate: float) -> None:
        """Move every stitch once; in the terms of `WhitenedMuon`, (B, n) matrices each.

        H is `centred` (C_out, D), g `bias` (C_out, 1), H K `solved` (C_out, D) and R `roots` (C_out, C_out).
        """
        weights = torch.stack([rows(stitch.weight.grad) for stitch in self.stitches])
        biases = torch.stack([stitch.bias.grad for stitch in self.stitches])
        gradients = torch.cat((weights, biases[:, :, None]), dim=2).unflatten(0, self.layout)
        self.momenta.mul_(MOMENTUM).add_(gradients)
        weight, bias = (gradients + MOMENTUM * self.momenta).tensor_split((-1,), dim=3)
        centred = weight - bias * self.means
        # What is squared below must neither overflow nor vanish.
        scale = torch.maximum(
            bias.abs().amax(dim=(2, 3), keepdim=True), centred.abs().amax(dim=(2, 3), keepdim=True) * self.bounds
        ).clamp_min(torch.finfo(bias.dtype).tiny)
        centred, bias = centred / scale, bias / scale
        solved = (centred.flatten(1, 2) @ self.inverses).view_as(centred)
        roots = inverse_roots(solved @ centred.mT + bias @ bias.mT) * (rate * self.lengths)
        weight_steps = roots @ solved
        bias_steps = (roots @ bias).squeeze(3) - (weight_steps * self.means).sum(dim=3)
        steps = zip(self.stitches, weight_steps.flatten(0, 1), bias_steps.flatten(0, 1), strict=True)
        for stitch, weight_step, bias_step in steps:
            stitch.weight.sub_(from_rows(weight_step, stitch.geometry))
            stitch.bias.sub_(bias_step)


def inverse_roots(squares: Tensor) -> Tensor:
    """About the inverse square roots R (..., n, n) of S = G G' (..., n, n), for any G: R G is about semi-orthogonal.

    Its singular values are .7 to 1.2, by five Newton-Schulz steps of the quintic of Jordan et al., whose slope at 0
    lifts small values fast. Where S is 0, so is R G.
    """
    traces = squares.diagonal(dim1=-2, dim2=-1).sum(dim=-1)[..., None, None].clamp_min(torch.finfo(squares.dtype).tiny)
    squares = squares / traces
    roots = torch.eye(squares.shape[-1], dtype=squares.dtype, device=squares.device)
    for _ in range(5):
        levelled = roots @ squares @ roots
        factors = 2.0315 * levelled @ levelled - 4.775 * levelled
        factors.diagonal(dim1=-2, dim2=-1).add_(3.4445)
        roots = factors @ roots
    return roots / traces.sqrt()
