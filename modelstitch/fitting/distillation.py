"""Soft targets: an image's label, mixed with the predictions of the two networks, weighted by their reliability."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from modelstitch.accuracy import correct
from modelstitch.data.images import DeviceImages
from modelstitch.networks.evaluation import predict
from modelstitch.networks.frozen import FrozenNetwork

LEAST_RELIABILITY = 0.05  # a less reliable network is left out of the teacher
LEAST_MARGIN = 0.1  # a cell within this margin of the teacher's accuracy learns from the labels alone
DECAY = 0.95  # decay of the margin per step: a mean over about 20 steps


class SoftTargets(NamedTuple):
    """A teacher's targets for a batch.

    Attributes:
        targets: class probabilities (N, classes), a mixture of the teacher's and the labels.
        accuracy: accuracy of the teacher itself on the batch, ().
        mask: float (cells,): 1 for a cell that learns the soft targets, 0 for one that learns the labels.
    """

    targets: Tensor
    accuracy: Tensor
    mask: Tensor


class Teacher:
    """The mean of two networks' class probabilities, weighted by their reliabilities, as a teacher of some cells.

    A network's prediction tells more about an image than its label does, so gradients are less noisy (Hinton et al.,
    "Distilling the Knowledge in a Neural Network", 2015). But the best stitches may be more accurate than the networks:
    a cell learns from the teacher only while the teacher is clearly more accurate on the same images.

    Args:
        sender, receiver: the frozen networks.
        reliabilities: reliabilities of the two, as `reliability` returns them.
        cells: number of cells that are trained.
        device: device of networks and cells.

    Attributes:
        weights: each network that is reliable enough, with its reliability.
        share: share of the teacher in soft targets, the rest being the label: the larger reliability; 0 if no network
            is reliable enough.
        margin: the teacher's accuracy less each cell's, (cells,): a running mean over steps that starts at 1.
    """

    def __init__(
        self,
        sender: FrozenNetwork,
        receiver: FrozenNetwork,
        reliabilities: tuple[float, float],
        cells: int,
        device: str,
    ) -> None:
        self.sender = sender
        both = zip((sender, receiver), reliabilities, strict=True)
        self.weights = [(network, reliability) for network, reliability in both if reliability > LEAST_RELIABILITY]
        self.share = max((reliability for _, reliability in self.weights), default=0.0)
        self.margin = torch.ones(cells, device=device)

    @torch.no_grad()
    def soft_targets(self, images: Tensor, labels: Tensor, representations: Mapping[int, Tensor]) -> SoftTargets:
        """Targets for images (N, C, H, W) with labels (N,); the label alone for an image where the teacher overflows.

        Args:
            images, labels: the batch.
            representations: the sender's representations of the images, by layer, up to any layer.

        Raises:
            RuntimeError: if no network is reliable enough.
        """
        last = max(representations)
        weighted = []
        for network, reliability in self.weights:
            logits = network.suffix(last, representations[last]) if network is self.sender else network(images)
            weighted.append(reliability * logits.float().softmax(dim=1))
        own = torch.stack(weighted).sum(dim=0) / sum(reliability for _, reliability in self.weights)
        hard = torch.zeros_like(own).scatter_(1, labels[:, None], 1.0)
        accuracy = correct(own.argmax(dim=1), labels).float().mean()
        soft = torch.where(own.isfinite().all(dim=1, keepdim=True), torch.lerp(hard, own, self.share), hard)
        return SoftTargets(soft, accuracy, (self.margin > LEAST_MARGIN).float())

    def update(self, soft: SoftTargets, accuracy: Tensor) -> None:
        """Update the margin after a batch, from the `accuracy` (cells,) of each cell on it."""
        self.margin.lerp_(soft.accuracy - accuracy, 1 - DECAY)


class ReceiverTeacher:
    """The receiver's class probabilities as targets of all cells; labels are not used.

    Args:
        receiver: the frozen network.
        cells: number of cells that are trained.
    """

    def __init__(self, receiver: FrozenNetwork, cells: int) -> None:
        self.receiver, self.cells = receiver, cells

    @torch.no_grad()
    def soft_targets(self, images: Tensor, labels: Tensor, representations: Mapping[int, Tensor]) -> SoftTargets:
        """Targets for images (N, C, H, W), as `Teacher.soft_targets` returns them."""
        own = self.receiver(images).float().softmax(dim=1)
        accuracy = correct(own.argmax(dim=1), labels).float().mean()
        return SoftTargets(own, accuracy, torch.ones(self.cells, device=images.device))

    def update(self, soft: SoftTargets, accuracy: Tensor) -> None:
        """Do nothing: all cells learn from this teacher to the end."""


def reliability(network: FrozenNetwork, images: DeviceImages, chosen: Tensor) -> float:
    """How much better than guessing a network is on images with indices `chosen` (N,): 0 no better, 1 always right.

    This is Cohen's kappa between its predictions and the labels, at least 0. It is 0 if the network overflows, or if
    all labels and predictions are one class.
    """
    logits = predict(network, images, chosen)
    if not logits.isfinite().all():
        return 0.0
    classes, labels = logits.argmax(dim=1), images.labels[chosen]
    count = logits.shape[1]
    counts = (torch.bincount(values, minlength=count).double() for values in (classes, labels))
    chance = torch.dot(*counts).item() / len(chosen) ** 2
    agreement = correct(classes, labels).double().mean().item()
    return max(0.0, (agreement - chance) / (1 - chance)) if chance < 1 else 0.0
