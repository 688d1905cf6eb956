"""Evaluates a network on a split: predictions, accuracy and loss."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from modelstitch.accuracy import correct
from modelstitch.data.images import EVALUATION_BATCH, DeviceImages
from modelstitch.hardware import in_batches
from modelstitch.networks.frozen import FrozenNetwork


class Evaluation(NamedTuple):
    """Accuracy and mean cross-entropy over `images` images."""

    accuracy: float
    loss: float
    images: int


@torch.no_grad()
def evaluate(network: FrozenNetwork, images: DeviceImages) -> Evaluation:
    """Evaluate the network on every image of a split."""
    hits = torch.zeros((), dtype=torch.int64, device=images.device)
    loss = torch.zeros((), dtype=torch.float64, device=images.device)
    for batch, labels in images.in_order():
        logits = network(batch).float()
        hits += correct(logits.argmax(dim=1), labels).sum()
        loss += F.cross_entropy(logits, labels, reduction="sum")
    return Evaluation(hits.item() / len(images), loss.item() / len(images), len(images))


@torch.no_grad()
def predict(network: FrozenNetwork, images: DeviceImages, indices: Tensor | None = None) -> Tensor:
    """Logits (N, classes), float32, of a split's images, or of some of them by index (N,)."""
    count = len(images) if indices is None else len(indices)

    def logits_of(batch: slice) -> Tensor:
        return network(images.scaled(batch if indices is None else indices[batch])).float()

    return torch.cat(list(in_batches(logits_of, count, EVALUATION_BATCH)))
