"""Muon for stitches, as if what they see were whitened: one rate for all, whatever their sizes and scales."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from modelstitch.fitting.optimisers import Optimiser
from modelstitch.stitches.linear import Cell, Geometry, Stitch, from_rows, parameters, rows
from modelstitch.stitches.normal_equations import Moments, Whitening

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
        stretch: how many times as long as that steps are.
    """

    def __init__(self, stitches: Mapping[Cell, Stitch], moments: Moments, stretch: float = 1.0) -> None:
        super().__init__(parameters(stitches.values()))
        self.stretch = stretch
        whitenings = moments.whitenings(WHITENING_RIDGE, self.parameters[0].dtype)
        sharing: dict[tuple[int, Geometry], list[Cell]] = {}  # of cells that see the same patches
        for cell, stitch in stitches.items():
            sharing.setdefault((cell[0], stitch.geometry), []).append(cell)
        alike: dict[tuple[Geometry, int], list[list[Cell]]] = {}
        for (_, geometry), cells in sharing.items():
            alike.setdefault((geometry, len(cells)), []).append(cells)
        self.together: dict[int, list[_Together]] = {}  # by output channels
        for (geometry, _), several in alike.items():
            self.together.setdefault(geometry.target.channels, []).append(
                _Together(
                    [stitches[cell] for cells in several for cell in cells],
                    [whitenings[cells[0]] for cells in several],
                    [moments.deviation(cell) for cells in several for cell in cells],
                )
            )

    @torch.no_grad()
    def step(self) -> None:
        self.gradients()  # of every stitch, or none is moved
        for together in self.together.values():
            momenta = [stitches.momentum() for stitches in together]
            roots = inverse_roots(torch.cat([momentum.square for momentum in momenta]))
            parts = roots.split([len(stitches.stitches) for stitches in together])
            for stitches, momentum, root in zip(together, momenta, parts, strict=True):
                stitches.move(momentum, root, self.stretch * self.rate)


class _Momentum(NamedTuple):
    """Of stitches that move together, to some scale each, in the terms of `WhitenedMuon`.

    Attributes:
        solved: H K, (B * n, C_out, D).
        bias: g, (B * n, C_out, 1).
        square: S, (B * n, C_out, C_out).
    """

    solved: Tensor
    bias: Tensor
    square: Tensor


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
        each = len(stitches) // len(whitenings)
        self.inverses = torch.stack([whitening.inverse_covariance for whitening in whitenings])  # (B, D, D)
        self.means = torch.stack([whitening.mean for whitening in whitenings for _ in range(each)])[:, None]
        outputs, inputs = rows(stitches[0].weight).shape
        lengths = [deviation / min(outputs, inputs + 1) ** 0.5 for deviation in deviations]
        self.lengths = self.means.new_tensor(lengths)[:, None, None]
        self.momenta = self.means.new_zeros(len(stitches), outputs, inputs + 1)  # the last column is the bias's

    def momentum(self) -> _Momentum:
        """The Nesterov momentum, with the gradients that the stitches have now."""
        weights = torch.stack([rows(stitch.weight.grad) for stitch in self.stitches])
        biases = torch.stack([stitch.bias.grad for stitch in self.stitches])
        gradients = torch.cat((weights, biases[:, :, None]), dim=2)
        self.momenta.mul_(MOMENTUM).add_(gradients)
        weight, bias = (gradients + MOMENTUM * self.momenta).tensor_split((-1,), dim=2)
        centred = weight - bias * self.means
        # What is squared below must neither overflow nor vanish.
        scale = torch.maximum(*(part.abs().amax(dim=(1, 2), keepdim=True) for part in (centred, bias)))
        scale = scale.clamp_min(torch.finfo(scale.dtype).tiny)
        centred, bias = centred / scale, bias / scale
        solved = (centred.view(len(self.inverses), -1, centred.shape[2]) @ self.inverses).view_as(centred)
        return _Momentum(solved, bias, solved @ centred.mT + bias @ bias.mT)

    def move(self, momentum: _Momentum, roots: Tensor, rate: float) -> None:
        """Move every stitch once, by its inverse root R (B * n, C_out, C_out)."""
        roots = roots * (rate * self.lengths)
        weights = roots @ momentum.solved
        biases = (roots @ momentum.bias - weights @ self.means.mT).squeeze(2)
        for stitch, weight, bias in zip(self.stitches, weights, biases, strict=True):
            stitch.weight.sub_(from_rows(weight, stitch.geometry))
            stitch.bias.sub_(bias)


def inverse_roots(squares: Tensor) -> Tensor:
    """About the inverse square roots R (..., n, n) of S = G G' (..., n, n), for any G: R G is about semi-orthogonal.

    Its singular values are .7 to 1.2, by five Newton-Schulz steps of the quintic of Jordan et al., whose slope at 0
    lifts small values fast. Where S is 0, so is R G. Rounding in S must stay below a hundred thousandth of its trace:
    what it makes negative grows without bound. float32 does; TF32 would not.
    """
    traces = squares.diagonal(dim1=-2, dim2=-1).sum(dim=-1)[..., None, None].clamp_min(torch.finfo(squares.dtype).tiny)
    levelled, roots = squares / traces, None
    for step in range(5):
        factors = 2.0315 * levelled @ levelled - 4.775 * levelled
        factors.diagonal(dim1=-2, dim2=-1).add_(3.4445)
        roots = factors if roots is None else factors @ roots
        if step < 4:
            levelled = factors @ levelled @ factors
    return roots / traces.sqrt()
