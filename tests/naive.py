"""The slow, obvious ways that the package is compared with.

Each stitch trained alone, through whole, unfolded networks; Muon on whitened weights that are really made.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from modelstitch.networks.network import Network
from modelstitch.stitches.families.linear import LinearMap, Stitch
from modelstitch.stitches.normal_equations import Whitening


def train_alone(
    sender: Network,
    receiver: Network,
    cell: tuple[int, int],
    stitch: Stitch,
    batches: Iterable[tuple[Tensor, Tensor, float]],
    momentum: float,
    weight_decay: float,
) -> list[float]:
    """Train one stitch in place on batches of (images, labels, learning rate), and return the loss of every step."""
    optimiser = torch.optim.SGD(stitch.parameters, momentum=momentum, weight_decay=weight_decay)
    losses = []
    for images, labels, rate in batches:
        optimiser.param_groups[0]["lr"] = rate
        loss = F.cross_entropy(stitched(sender, receiver, cell, stitch, images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def stitched(sender: Network, receiver: Network, cell: tuple[int, int], stitch: Stitch, images: Tensor) -> Tensor:
    """Logits of the receiver's suffix on the stitch on the sender's prefix, both Small ResNets, of images of 0 to 1."""
    i, j = cell
    maps = sender.prepared(images, images.dtype)
    with torch.no_grad():
        for layer in sender.module.layers[: i + 1]:
            maps = layer(maps)
    maps = stitch(maps)
    for layer in receiver.module.layers[j + 1 :]:
        maps = layer(maps)
    return receiver.module.head(maps.mean(dim=(2, 3)))


def root(matrix: Tensor) -> Tensor:
    """The symmetric root of a positive definite matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.sqrt()) @ vectors.T


class WhitenedMuon:
    """Moves V of V [P (x - m), 1], as its definition says, and says at the end which W x + b that is."""

    def __init__(self, part: LinearMap, whitening: Whitening, deviation: float, momentum: float) -> None:
        self.mean, self.matrix, self.deviation = whitening.mean, root(whitening.inverse_covariance), deviation
        weight = part.weight.detach()
        bias = part.bias.detach() + weight @ self.mean
        self.weight = torch.cat((weight @ self.matrix.inverse(), bias[:, None]), dim=1)
        self.coefficient, self.momentum = momentum, torch.zeros_like(self.weight)

    def step(self, rate: float, weight_gradient: Tensor, bias_gradient: Tensor) -> None:
        """One step by the gradients of W (C_out, D) and b (C_out,)."""
        bias = bias_gradient[:, None]
        gradient = torch.cat(((weight_gradient - bias * self.mean) @ self.matrix, bias), dim=1)
        self.momentum = self.coefficient * self.momentum + gradient
        size = rate * self.deviation / min(self.weight.shape) ** 0.5
        self.weight = self.weight - size * orthogonalised(gradient + self.coefficient * self.momentum)

    def part(self) -> tuple[Tensor, Tensor]:
        """W (C_out, D) and b (C_out,)."""
        weight = self.weight[:, :-1] @ self.matrix
        return weight, self.weight[:, -1] - weight @ self.mean


def orthogonalised(matrix: Tensor) -> Tensor:
    """About the nearest semi-orthogonal matrix, by five Newton-Schulz steps, from the singular values."""
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    values = values / values.max()
    values = values / values.norm()
    for _ in range(5):
        values = 3.4445 * values - 4.775 * values**3 + 2.0315 * values**5
    return (left * values) @ right
