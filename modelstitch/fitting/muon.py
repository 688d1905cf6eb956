"""Muon for stitches, as if their inputs were whitened: one learning rate suits stitches of all sizes and scales."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from modelstitch.errors import ModelstitchError
from modelstitch.optimisers import Optimiser
from modelstitch.stitches.geometry import Cell, Geometry
from modelstitch.stitches.normal_equations import Moments, Whitening

MOMENTUM = 0.9
# As a share of the mean variance: large, since small variances are mostly noise, and Muon evens out the others.
WHITENING_RIDGE = 0.1


class WhitenedMuon(Optimiser):
    """Muon on the weights that linear maps would have if their inputs had zero mean, and variances with a mean of 1.

    With inputs x of mean m, and a matrix P that whitens them, a map W x + b is V [P (x - m), 1]. Muon moves V by about
    the nearest semi-orthogonal matrix to the Nesterov momentum of its gradients (Jordan et al., "Muon", 2024). So at a
    `rate` r a stitch's output, as a vector over channels, moves by r standard deviations of the expected output.

    V itself is never computed. If the momentum is G for W and g for b, that for V is [H P', g] with H = G - g m'. The
    product of this matrix with its transpose is S = H K H' + g g', where K = P' P is the inverse of the inputs'
    covariance. V moves by R [H P', g], where R is about the inverse square root of S: W moves by R H K and b by
    R g - R H K m. R is scaled so that the norm of the step is about the rate times the standard deviation.

    Args:
        stitches: stitches that are linear maps (have `maps`); they are changed in place.
        moments: moments of their cells, for whitening and standard deviations.
        stretch: factor on the length of all steps.

    Raises:
        ModelstitchError: if a stitch is not made of linear maps.
    """

    def __init__(self, stitches: Mapping[Cell, Any], moments: Moments, stretch: float = 1.0) -> None:
        if not all(hasattr(stitch, "maps") for stitch in stitches.values()):
            raise ModelstitchError(
                "protocol fast moves linear maps: expected family linear, convolution or resized, or protocol adam"
            )
        super().__init__([tensor for stitch in stitches.values() for tensor in stitch.parameters])
        self.stretch = stretch
        whitenings = moments.whitenings(WHITENING_RIDGE, self.parameters[0].dtype)
        sharing: dict[tuple[int, Geometry, int], list[Cell]] = {}  # cells whose maps have the same inputs
        for cell, stitch in stitches.items():
            for part in range(len(stitch.maps)):
                sharing.setdefault((cell[0], stitch.geometry, part), []).append(cell)
        of_one_shape: dict[tuple[Geometry, int, int], list[list[Cell]]] = {}
        for (_, geometry, part), cells in sharing.items():
            of_one_shape.setdefault((geometry, part, len(cells)), []).append(cells)
        self.groups: dict[int, list[_Group]] = {}  # by number of outputs
        for (geometry, part, _), several in of_one_shape.items():
            self.groups.setdefault(geometry.parts[part].outputs, []).append(
                _Group(
                    [stitches[cell].maps[part] for cells in several for cell in cells],
                    [whitenings[cells[0], part] for cells in several],
                    [moments.deviation(cell, part) for cells in several for cell in cells],
                )
            )

    @torch.no_grad()
    def step(self) -> None:
        self.gradients()  # raises if a gradient is missing, before any stitch is moved
        for groups in self.groups.values():
            momenta = [group.momentum() for group in groups]
            roots = inverse_roots(torch.cat([momentum.square for momentum in momenta]))
            parts = roots.split([len(group.maps) for group in groups])
            for group, momentum, root in zip(groups, momenta, parts, strict=True):
                group.move(momentum, root, self.stretch * self.rate)


class _Momentum(NamedTuple):
    """Momenta of the B * n maps of a group, each divided by a scale of its own, in the notation of `WhitenedMuon`.

    Attributes:
        solved: H K, (B * n, O, D).
        bias: g, (B * n, O, 1).
        square: S, (B * n, O, O).
    """

    solved: Tensor
    bias: Tensor
    square: Tensor


class _Group:
    """Maps of one shape that are moved together: n maps for each of B whitenings.

    Args:
        maps: weight (O, D) and bias (O,) of each map; the n maps of a whitening are adjacent.
        whitenings: the B whitenings of the maps' inputs.
        deviations: the standard deviation of each map's expected outputs.
    """

    def __init__(
        self, maps: Sequence[tuple[Tensor, Tensor]], whitenings: Sequence[Whitening], deviations: Sequence[float]
    ) -> None:
        self.maps = maps
        each = len(maps) // len(whitenings)
        self.inverses = torch.stack([whitening.inverse_covariance for whitening in whitenings])  # (B, D, D)
        self.means = torch.stack([whitening.mean for whitening in whitenings for _ in range(each)])[:, None]
        outputs, inputs = maps[0][0].shape
        lengths = [deviation / min(outputs, inputs + 1) ** 0.5 for deviation in deviations]
        self.lengths = self.means.new_tensor(lengths)[:, None, None]
        self.momenta = self.means.new_zeros(len(maps), outputs, inputs + 1)  # the last column is for the bias

    def momentum(self) -> _Momentum:
        """Update the momenta with the current gradients, and return the Nesterov momenta."""
        weights = torch.stack([weight.grad for weight, _ in self.maps])
        biases = torch.stack([bias.grad for _, bias in self.maps])
        gradients = torch.cat((weights, biases[:, :, None]), dim=2)
        self.momenta.mul_(MOMENTUM).add_(gradients)
        weight, bias = (gradients + MOMENTUM * self.momenta).tensor_split((-1,), dim=2)
        centred = weight - bias * self.means
        # Scaled, so that the squares below neither overflow nor underflow.
        scale = torch.maximum(*(part.abs().amax(dim=(1, 2), keepdim=True) for part in (centred, bias)))
        scale = scale.clamp_min(torch.finfo(scale.dtype).tiny)
        centred, bias = centred / scale, bias / scale
        solved = (centred.view(len(self.inverses), -1, centred.shape[2]) @ self.inverses).view_as(centred)
        return _Momentum(solved, bias, solved @ centred.mT + bias @ bias.mT)

    def move(self, momentum: _Momentum, roots: Tensor, rate: float) -> None:
        """Move every map once, with the inverse roots R (B * n, O, O)."""
        roots = roots * (rate * self.lengths)
        weights = roots @ momentum.solved
        biases = (roots @ momentum.bias - weights @ self.means.mT).squeeze(2)
        for (weight, bias), weight_step, bias_step in zip(self.maps, weights, biases, strict=True):
            weight.sub_(weight_step)
            bias.sub_(bias_step)


def inverse_roots(squares: Tensor) -> Tensor:
    """Approximate inverse square roots R (..., n, n) of S = G G' (..., n, n), for any G: R G is about semi-orthogonal.

    The singular values of R G are 0.7 to 1.2, after five Newton-Schulz steps with the quintic of Jordan et al., whose
    steep slope at 0 raises small values fast. If S is 0, so is R G. Rounding errors in S must stay below 1e-5 of its
    trace, since negative eigenvalues grow without bound: float32 is exact enough, TF32 is not.
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
