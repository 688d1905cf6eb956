"""Least squares from a sender's layer to the receiver's, by streaming normal equations.

One pass over the images sums first and second moments in float64. From these follow the stitch that comes closest to
the expected representation, and the inverse covariance that whitens a stitch's inputs.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from modelstitch.stitches.assembly import expected, inputs
from modelstitch.stitches.geometry import Cell, Geometry

# Added to a covariance's diagonal, as a share of its mean: channels that are never on leave it singular.
RIDGE = 1e-4
# Of the mean square: a variance that is less may be rounding alone.
ROUNDING = 1e-5

Place = tuple[Cell, int]  # a cell, and one of the parts of its geometry


class Statistics(NamedTuple):
    """Means and covariances of a part's inputs, (D,) and (D, D), means of its targets (O,), and covariances (D, O)."""

    mean: Tensor
    covariance: Tensor
    target_mean: Tensor
    cross_covariance: Tensor


class Whitening(NamedTuple):
    """Mean (D,) of a part's inputs, and the scaled inverse (D, D) of their covariance with a ridge.

    The latter is P' P for any matrix P that whitens the inputs x: the variances of P (x - mean) have a mean of 1, and
    without a ridge its covariance is the identity.
    """

    mean: Tensor
    inverse_covariance: Tensor


class Moments:
    """Sums over places and images, in float64, of the inputs and targets of some cells' stitches.

    Args:
        geometries: geometries of the stitches, by cell.
        dtype: type of the products of a batch, which are summed in float64. With float32 a sum has a relative error of
            about 1e-6.
    """

    def __init__(self, geometries: Mapping[Cell, Geometry], dtype: torch.dtype = torch.float64) -> None:
        self.geometries, self.dtype = dict(geometries), dtype
        self.groups: dict[tuple, list[Place]] = {}  # of those that see the same
        for cell, geometry in self.geometries.items():
            for part in range(len(geometry.parts)):
                self.groups.setdefault(_key((cell, part), geometry), []).append((cell, part))
        # Of inputs and 1 with themselves and with what all of a group should give: (D + 1, D + 1 + O + ...).
        self.products: dict[tuple, Tensor] = {}
        self.target_squares: dict[tuple, Tensor] = {}  # by receiver layer, and what of it a part gives

    def add(self, sender_values: Mapping[int, Tensor], receiver_values: Mapping[int, Tensor]) -> None:
        """Add a batch: representations (N, *shape) by layer, of the sender and of the receiver."""
        senders, receivers = (set(layers) for layers in zip(*self.geometries, strict=True))
        sender_values = {i: sender_values[i].to(self.dtype) for i in senders}
        receiver_values = {j: receiver_values[j].to(self.dtype) for j in receivers}
        targets: dict[tuple, list[Tensor]] = {}  # by receiver layer and what shapes them
        squared: set[tuple] = set()
        for key, group in self.groups.items():
            outputs = []
            for (i, j), part in group:
                geometry = self.geometries[i, j]
                shaped = (j, geometry.scale, geometry.all_tokens)
                if shaped not in targets:
                    targets[shaped] = expected(receiver_values[j], geometry)
                outputs.append(targets[shaped][part])
                if (square := _target_key(j, part, geometry)) not in squared:
                    squared.add(square)
                    total = _square(receiver_values[j], geometry, part)
                    self.target_squares[square] = self.target_squares.get(square, 0) + total
            (cell, part), *_ = group
            geometry = self.geometries[cell]
            seen = inputs(sender_values[cell[0]], geometry)[part]
            values = torch.cat((seen, torch.ones_like(seen[..., :1]), *outputs), dim=-1)
            seen = values[..., : seen.shape[-1] + 1]
            if part == 0 and geometry.scale != (1, 1):
                seen = seen * (geometry.scale[0] * geometry.scale[1])
            products = seen.flatten(0, -2).T @ values.flatten(0, -2)
            self.products[key] = self.products.get(key, 0) + products.double()

    def sums(self, cell: Cell, part: int = 0) -> tuple[Tensor, Tensor]:
        """Products of a part's inputs and 1 with themselves, (D + 1, D + 1), and with its targets, (D + 1, O)."""
        key = _key((cell, part), self.geometries[cell])
        products, group = self.products[key], self.groups[key]
        outputs = [self.geometries[one].parts[its_part].outputs for one, its_part in group]
        square, *crosses = products.split([len(products), *outputs], dim=1)
        return square, crosses[group.index((cell, part))]

    def statistics(self, cell: Cell, part: int = 0) -> Statistics:
        """Means and covariances; inputs that are constant up to rounding have a variance of 0."""
        square, cross = self.sums(cell, part)
        count = square[-1, -1]
        mean, target_mean = square[-1, :-1] / count, cross[-1] / count
        covariance = square[:-1, :-1] / count - torch.outer(mean, mean)
        cross_covariance = cross[:-1] / count - torch.outer(mean, target_mean)
        if covariance.trace() < ROUNDING * square[:-1, :-1].trace() / count:
            covariance, cross_covariance = torch.zeros_like(covariance), torch.zeros_like(cross_covariance)
        return Statistics(mean, covariance, target_mean, cross_covariance)

    def solve(self, cell: Cell, part: int = 0, ridge: float = RIDGE) -> tuple[Tensor, Tensor]:
        """Weight (O, D) and bias (O,), float32, of least mean squared error; NaN if the moments are not finite.

        Args:
            cell, part: the cell and the part.
            ridge: added to the diagonal of the inputs' covariance, as a share of its mean.
        """
        mean, covariance, target_mean, cross = self.statistics(cell, part)
        if not covariance.any():
            weights = torch.zeros_like(cross)
        elif covariance.isfinite().all():
            weights = torch.linalg.solve(_regularised(covariance, ridge), cross)
        else:
            weights = torch.full_like(cross, torch.nan)
        bias = target_mean - mean @ weights
        return weights.T.float().contiguous(), bias.float()

    def mean_squared_error(self, cell: Cell, maps: Iterable[tuple[Tensor, Tensor]]) -> float:
        """Mean squared error to the expected representation over all images, with these weights and biases.

        It is exact up to rounding, about 1e-13 of the expected representation's mean square.
        """
        total, count = 0.0, 0.0
        for part, (weight, bias) in enumerate(maps):
            square, cross = self.sums(cell, part)
            weights = torch.cat((weight.double().T, bias.double()[None]))
            targets = self.target_squares[_target_key(cell[1], part, self.geometries[cell])]
            total = total + targets - 2 * (weights * cross).sum() + (weights * (square @ weights)).sum()
            count = count + square[-1, -1] * weights.shape[1]
        return (total / count).item()

    def deviation(self, cell: Cell, part: int = 0) -> float:
        """Standard deviation of a part's targets: the root of the mean variance over channels.

        It is 1 if that is not finite or not positive.
        """
        square, cross = self.sums(cell, part)
        count, channels = square[-1, -1], cross.shape[1]
        targets = self.target_squares[_target_key(cell[1], part, self.geometries[cell])]
        variance = targets / (count * channels) - (cross[-1] / count).square().mean()
        return variance.sqrt().item() if variance.isfinite() and variance > 0 else 1.0

    def whitenings(self, ridge: float = RIDGE, dtype: torch.dtype = torch.float64) -> dict[Place, Whitening]:
        """The whitening of every part's inputs, shared by parts with the same inputs.

        It is zeros and the identity if inputs are not finite, or constant.

        Args:
            ridge: added to the diagonal of the covariance, as a share of its mean. It is multiplied by ten until the
                sum is clearly positive definite despite rounding.
            dtype: type of the result.
        """
        result = {}
        for group in self.groups.values():
            mean, covariance, _, _ = self.statistics(*group[0])
            if not covariance.isfinite().all() or not covariance.any():
                mean, covariance = torch.zeros_like(mean), torch.eye(len(mean)).to(covariance)
            enough, variance = ridge, 0.0
            while not variance > 0:
                factor, failed = torch.linalg.cholesky_ex(_regularised(covariance, enough))
                if not failed:
                    inverse = torch.cholesky_inverse(factor)
                    variance = (inverse * covariance).sum() / len(mean)
                enough = max(10 * enough, RIDGE)
            inverse /= variance
            result |= dict.fromkeys(group, Whitening(mean.to(dtype), inverse.to(dtype)))
        return result


def _key(place: Place, geometry: Geometry) -> tuple:
    """A key that parts with the same inputs share."""
    (i, _), part = place
    return i, *geometry.seen_by(part)


def _target_key(layer: int, part: int, geometry: Geometry) -> tuple:
    """A key of targets: a whole layer, or a part of it."""
    return (layer, part) if len(geometry.parts) > 1 else (layer,)


def _square(values: Tensor, geometry: Geometry, part: int) -> Tensor:
    """Sum of squares of a part's targets before averaging, from representations (N, *target.shape)."""
    if len(geometry.parts) > 1:
        values = geometry.target.split(values)[part]
    return values.square().sum(dtype=torch.float64)


def _regularised(covariance: Tensor, ridge: float) -> Tensor:
    identity = torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
    return covariance + ridge * covariance.diagonal().mean() * identity
