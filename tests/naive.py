"""The slow, obvious loop: each stitch trained alone through whole, unfolded networks. The reference of the engine."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from modelstitch.networks import SmallResNet
from modelstitch.stitches import Stitch


def train_alone(
    sender: SmallResNet,
    receiver: SmallResNet,
    cell: tuple[int, int],
    stitch: Stitch,
    batches: Iterable[tuple[Tensor, Tensor, float]],
    momentum: float,
    weight_decay: float,
) -> list[float]:
    """Train one stitch in place on batches of (images, labels, learning rate), and return the loss of every step."""
    optimiser = torch.optim.SGD([stitch.weight, stitch.bias], momentum=momentum, weight_decay=weight_decay)
    losses = []
    for images, labels, rate in batches:
        optimiser.param_groups[0]["lr"] = rate
        loss = F.cross_entropy(stitched(sender, receiver, cell, stitch, images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def stitched(
    sender: SmallResNet, receiver: SmallResNet, cell: tuple[int, int], stitch: Stitch, images: Tensor
) -> Tensor:
    """Logits of the receiver's suffix on the stitch on the sender's prefix."""
    i, j = cell
    maps = images
    with torch.no_grad():
        for layer in sender.layers[: i + 1]:
            maps = layer(maps)
    maps = stitch(maps)
    for layer in receiver.layers[j + 1 :]:
        maps = layer(maps)
    return receiver.head(maps.mean(dim=(2, 3)))
