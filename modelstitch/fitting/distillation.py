"""Soft targets: what the two networks predict of an image, each by its reliability, beside the image's label."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from modelstitch.accuracy import correct
from modelstitch.data.images import DeviceImages
from modelstitch.networks.evaluation import predict
from modelstitch.networks.frozen import FrozenNetwork

LEAST_RELIABILITY = 0.05  # a network that is less reliable is no teacher
LEAST_MARGIN = 0.1  # a cell whose accuracy is as near as this to the teacher's learns from the labels alone
DECAY = 0.95  # of the margin, a step: it is a mean over some 20 steps


class SoftTargets(NamedTuple):
    """What a teacher gives for a batch.

    Attributes:
        targets: class probabilities (N, classes), of the teacher and the labels together.
        accuracy: of the teacher alone, ().
        mask: 1 for a cell that learns these targets, 0 for one that learns the labels, float (cells,).
    """

    targets: Tensor
    accuracy: Tensor
    mask: Tensor


class Teacher:
    """The class probabilities that two networks give, the more reliable one's with more weight, for some cells.

    What a network says of an image tells more than its class, so gradients are less noisy (Hinton et al., "Distilling
    the Knowledge in a Neural Network", 2015). But the best stitch may beat the networks: a cell learns from the teacher
    only while that is clearly more accurate on the same images.

    Args:
        sender, receiver: the frozen networks.
        reliabilities: of the two, as `reliability` finds them.
        cells: how many cells learn.
        device: of networks and cells.

    Attributes:
        weights: of each network that is reliable enough.
        share: of the teacher's probabilities in soft targets: the larger reliability; 0 if both networks guess.
        margin: by how much the teacher was more accurate than each cell, (cells,): a running mean over steps, from 1.
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
        """Targets for images (N, C, H, W) with labels (N,), and the labels alone where the teacher overflows.

        Args:
            images, labels: of a batch.
            representations: the sender's of them, by layer, up to any.

        Raises:
            RuntimeError: if there is no teacher, since both networks guess.
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
        """Follow the margin, after a batch on which each cell had some `accuracy` (cells,)."""
        self.margin.lerp_(soft.accuracy - accuracy, 1 - DECAY)


class ReceiverTeacher:
    """The class probabilities that the receiver gives, for all cells, whatever the labels.

    Args:
        receiver: the frozen network.
        cells: how many cells learn.
    """

    def __init__(self, receiver: FrozenNetwork, cells: int) -> None:
        self.receiver, self.cells = receiver, cells

    @torch.no_grad()
    def soft_targets(self, images: Tensor, labels: Tensor, representations: Mapping[int, Tensor]) -> SoftTargets:
        """Targets for images (N, C, H, W), as `Teacher` gives them."""
        own = self.receiver(images).float().softmax(dim=1)
        accuracy = correct(own.argmax(dim=1), labels).float().mean()
        return SoftTargets(own, accuracy, torch.ones(self.cells, device=images.device))

    def update(self, soft: SoftTargets, accuracy: Tensor) -> None:
        """Nothing: all cells go on learning from it."""


def reliability(network: FrozenNetwork, images: DeviceImages, chosen: Tensor) -> float:
    """How much better than guessing a network is on images of some indices (N,): 0 as good or worse, 1 always right.

    Cohen's kappa between its classes and the labels; 0 where it overflows, or all is of one class.
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
