"""What stitches learn beside the labels: what the two networks say of an image, as far as they can be believed."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from modelstitch.data.images import EVALUATION_BATCH, DeviceImages
from modelstitch.engine.frozen import FrozenNetwork
from modelstitch.hardware import in_batches

GUESSING = 0.05  # a network whose reliability is less is not asked
NEAR = 0.1  # a cell whose accuracy is as near as this to the teacher's learns from the labels alone
MEMORY = 0.95  # what stays of the lead a step: it is a mean over some 20 steps


class Lesson(NamedTuple):
    """What a teacher says of a batch.

    Attributes:
        labels: soft ones: class probabilities (N, classes), of the teacher and the labels together.
        accuracy: of the teacher alone, ().
        heard: 1 for a cell that learns the soft labels, 0 for one that learns the batch's own, float (cells,).
    """

    labels: Tensor
    accuracy: Tensor
    heard: Tensor


class Teacher:
    """The class probabilities that two networks give, the more reliable one's with more weight, for some cells.

    What a network says of an image tells more than its class, so gradients are less noisy (Hinton et al., "Distilling
    the Knowledge in a Neural Network", 2015). But the best stitch may beat the networks: a cell listens only while the
    teacher is clearly more accurate on the same images.

    Args:
        sender, receiver: the frozen networks.
        reliabilities: of the two, as `reliability` finds them.
        cells: how many cells learn.
        device: of networks and cells.

    Attributes:
        share: of the teacher's probabilities in soft labels: the larger reliability; 0 if both networks guess.
        lead: by how much the teacher was more accurate than each cell, (cells,): a running mean over steps, from 1.
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
        self.believed = [(network, reliability) for network, reliability in both if reliability > GUESSING]
        self.share = max((reliability for _, reliability in self.believed), default=0.0)
        self.lead = torch.ones(cells, device=device)

    @torch.no_grad()
    def lesson(self, images: Tensor, labels: Tensor, representations: Mapping[int, Tensor]) -> Lesson:
        """What the teacher says of images (N, C, H, W) with labels (N,), and their labels where it overflows.

        Args:
            images, labels: of a batch.
            representations: the sender's of them, by layer, up to any.

        Raises:
            RuntimeError: if there is no teacher, since both networks guess.
        """
        last = max(representations)
        weighted = []
        for network, reliability in self.believed:
            logits = network.suffix(last, representations[last]) if network is self.sender else network(images)
            weighted.append(reliability * logits.float().softmax(dim=1))
        own = torch.stack(weighted).sum(dim=0) / sum(reliability for _, reliability in self.believed)
        hard = torch.zeros_like(own).scatter_(1, labels[:, None], 1.0)
        accuracy = (own.argmax(dim=1) == labels).float().mean()
        soft = torch.where(own.isfinite().all(dim=1, keepdim=True), torch.lerp(hard, own, self.share), hard)
        return Lesson(soft, accuracy, (self.lead > NEAR).float())

    def compare(self, lesson: Lesson, accuracy: Tensor) -> None:
        """Follow the lead, after a batch on which each cell had some `accuracy` (cells,)."""
        self.lead.lerp_(lesson.accuracy - accuracy, 1 - MEMORY)


@torch.no_grad()
def reliability(network: FrozenNetwork, images: DeviceImages, chosen: Tensor) -> float:
    """How much better than guessing a network is on images of some indices (N,): 0 as good or worse, 1 always right.

    Cohen's kappa between its classes and the labels; 0 where it overflows, or all is of one class.
    """

    def logits_of(part: slice) -> Tensor:
        return network(images.normalised(chosen[part]).to(images.dtype))

    logits = torch.cat(list(in_batches(logits_of, len(chosen), EVALUATION_BATCH)))
    if not logits.isfinite().all():
        return 0.0
    classes, labels = logits.argmax(dim=1), images.labels[chosen]
    counts = (torch.bincount(values, minlength=network.classes).double() for values in (classes, labels))
    chance = torch.dot(*counts).item() / len(chosen) ** 2
    agreement = (classes == labels).double().mean().item()
    return max(0.0, (agreement - chance) / (1 - chance)) if chance < 1 else 0.0
