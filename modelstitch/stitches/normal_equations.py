"""Stitches in closed form: least squares from a sender's layer to the receiver's, by streaming normal equations.

One pass over the images adds up first and second moments in float64, from which come the stitch that is nearest to the
expected representation, and the inverse covariance that whitens what a stitch sees.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from modelstitch.engine.frozen import FrozenNetwork
from modelstitch.stitches.linear import Cell, Geometry, Stitch, from_rows, patches, rows

# Added to a covariance's diagonal, as a share of its mean: channels that are never on leave it singular.
RIDGE = 1e-4
# Of the mean square: a variance that is less may be rounding alone.
ROUNDING = 1e-5


def targets(maps: Tensor, geometry: Geometry) -> tuple[Tensor, Tensor]:
    """What the patches should become, (N, h, w, C_out), and how many pixels each stands for, (N, h, w, 1).

    Of the receiver's maps (N, C_out, H, W). Before an upsampling it is the mean of the pixels that will share a value.
    """
    ones = maps.new_ones(len(maps), 1, *maps.shape[2:])
    if geometry.scale != (1, 1):
        maps = F.avg_pool2d(maps, geometry.scale, ceil_mode=True, count_include_pad=False)
        ones = F.avg_pool2d(ones, geometry.scale, ceil_mode=True, divisor_override=1)
    return maps.permute(0, 2, 3, 1), ones.permute(0, 2, 3, 1)


class Statistics(NamedTuple):
    """Means and covariances of a cell's patches (D,), (D, D) and targets (C_out,), and between them, (D, C_out)."""

    mean: Tensor
    covariance: Tensor
    target_mean: Tensor
    cross_covariance: Tensor


class Whitening(NamedTuple):
    """Mean (D,) of a stitch's patches, and the inverse (D, D) of their covariance with its ridge, to scale.

    The latter is P' P for any matrix P that whitens the patches x: P (x - mean) has variances whose mean is 1, and
    without a ridge unit covariance.
    """

    mean: Tensor
    inverse_covariance: Tensor


class Moments:
    """Sums over positions and images, in float64, of what the stitches of some cells see and should give.

    Args:
        geometries: of the cells' stitches.
        dtype: of a batch's products, which are added up in float64. In float32 a sum is good to about 1e-6 of it.
    """

    def __init__(self, geometries: Mapping[Cell, Geometry], dtype: torch.dtype = torch.float64) -> None:
        self.geometries, self.dtype = dict(geometries), dtype
        self.alike: dict[tuple, list[Cell]] = {}
        for cell, geometry in self.geometries.items():
            self.alike.setdefault(_key(cell, geometry), []).append(cell)
        # Of patches and 1 with themselves and with the targets of all cells alike: (D + 1, D + 1 + C_out + ...).
        self.products: dict[tuple, Tensor] = {}
        self.target_square: dict[int, Tensor] = {}  # by receiver layer

    def add(self, sender_maps: Mapping[int, Tensor], receiver_maps: Mapping[int, Tensor]) -> None:
        """Count a batch: maps (N, C, H, W) by layer, of the sender and of the receiver."""
        senders, receivers = (set(layers) for layers in zip(*self.geometries, strict=True))
        sender_maps = {i: sender_maps[i].to(self.dtype) for i in senders}
        receiver_maps = {j: receiver_maps[j].to(self.dtype) for j in receivers}
        for j, maps in receiver_maps.items():
            self.target_square[j] = self.target_square.get(j, 0) + maps.square().sum(dtype=torch.float64)
        expected: dict[tuple, tuple[Tensor, Tensor]] = {}  # by receiver layer and scale
        for key, cells in self.alike.items():
            geometry = self.geometries[cells[0]]
            for _, j in cells:
                if (j, geometry.scale) not in expected:
                    expected[j, geometry.scale] = targets(receiver_maps[j], geometry)
            outputs = [expected[j, geometry.scale][0] for _, j in cells]
            inputs = patches(sender_maps[cells[0][0]], geometry.kernel)
            inputs = inputs[:, : outputs[0].shape[1], : outputs[0].shape[2]]
            values = torch.cat((inputs, torch.ones_like(inputs[..., :1]), *outputs), dim=3)
            seen = values[..., : inputs.shape[3] + 1]
            if geometry.scale != (1, 1):
                seen = seen * expected[cells[0][1], geometry.scale][1]
            products = seen.flatten(0, 2).T @ values.flatten(0, 2)
            self.products[key] = self.products.get(key, 0) + products.double()

    def sums(self, cell: Cell) -> tuple[Tensor, Tensor]:
        """Products of a cell's patches and 1 with themselves, (D + 1, D + 1), and with its targets, (D + 1, C_out)."""
        key = _key(cell, self.geometries[cell])
        products, channels = self.products[key], [self.geometries[one].target.channels for one in self.alike[key]]
        square, *crosses = products.split([len(products), *channels], dim=1)
        return square, crosses[self.alike[key].index(cell)]

    def statistics(self, cell: Cell) -> Statistics:
        """Means and covariances of one cell; patches that are all the same up to rounding do not vary at all."""
        square, cross = self.sums(cell)
        count = square[-1, -1]
        mean, target_mean = square[-1, :-1] / count, cross[-1] / count
        covariance = square[:-1, :-1] / count - torch.outer(mean, mean)
        cross_covariance = cross[:-1] / count - torch.outer(mean, target_mean)
        if covariance.trace() < ROUNDING * square[:-1, :-1].trace() / count:
            covariance, cross_covariance = torch.zeros_like(covariance), torch.zeros_like(cross_covariance)
        return Statistics(mean, covariance, target_mean, cross_covariance)

    def solve(self, cell: Cell, ridge: float = RIDGE) -> Stitch:
        """The stitch of least mean squared error to the expected representation; NaN where the moments are not finite.

        Args:
            cell: one of those that were counted.
            ridge: added to the diagonal of the patches' covariance, as a share of its mean.
        """
        mean, covariance, target_mean, cross = self.statistics(cell)
        geometry = self.geometries[cell]
        if not covariance.any():
            weights = torch.zeros_like(cross)
        elif covariance.isfinite().all():
            weights = torch.linalg.solve(_regularised(covariance, ridge), cross)
        else:
            weights = torch.full_like(cross, torch.nan)
        bias = target_mean - mean @ weights
        return Stitch(from_rows(weights.T, geometry).float().contiguous(), bias.float(), geometry)

    def mean_squared_error(self, cell: Cell, stitch: Stitch) -> float:
        """Mean squared error of a stitch to the expected representation, over all pixels and channels counted.

        Exact up to rounding: about 1e-13 of the expected representation's mean square.
        """
        square, cross = self.sums(cell)
        weights = torch.cat((rows(stitch.weight.double()).T, stitch.bias.double()[None]))
        total = self.target_square[cell[1]] - 2 * (weights * cross).sum() + (weights * (square @ weights)).sum()
        return (total / (square[-1, -1] * weights.shape[1])).item()

    def deviation(self, cell: Cell) -> float:
        """Standard deviation of a cell's expected representation: root mean variance over channels.

        1 where that is not finite or not positive.
        """
        square, cross = self.sums(cell)
        count, channels = square[-1, -1], cross.shape[1]
        variance = self.target_square[cell[1]] / (count * channels) - (cross[-1] / count).square().mean()
        return variance.sqrt().item() if variance.isfinite() and variance > 0 else 1.0

    def whitenings(self, ridge: float = RIDGE, dtype: torch.dtype = torch.float64) -> dict[Cell, Whitening]:
        """The whitening of every cell's patches, shared where they are the same.

        Zeros and the identity where patches are not finite, or all the same.

        Args:
            ridge: added to the diagonal of the patches' covariance, as a share of its mean; ten times that, and so on,
                where rounding leaves it not positive definite, or hardly so.
            dtype: of what is returned.
        """
        result = {}
        for cells in self.alike.values():
            mean, covariance, _, _ = self.statistics(cells[0])
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
            result |= dict.fromkeys(cells, Whitening(mean.to(dtype), inverse.to(dtype)))
        return result


def accumulate(
    sender: FrozenNetwork,
    receiver: FrozenNetwork,
    geometries: Mapping[Cell, Geometry],
    batches: Iterable[Tensor],
    dtype: torch.dtype = torch.float64,
) -> Moments:
    """The moments of some cells over batches of normalised images (N, C, H, W); `dtype` is as in `Moments`."""
    moments = Moments(geometries, dtype)
    last_sender, last_receiver = (max(layers) for layers in zip(*geometries, strict=True))
    for images in batches:
        moments.add(sender.representations(images, last_sender), receiver.representations(images, last_receiver))
    return moments


def _key(cell: Cell, geometry: Geometry) -> tuple:
    """Cells of one key see the same patches."""
    return cell[0], geometry.kernel, geometry.scale, geometry.target[1:]


def _regularised(covariance: Tensor, ridge: float) -> Tensor:
    identity = torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
    return covariance + ridge * covariance.diagonal().mean() * identity
