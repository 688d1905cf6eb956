"""What stitches learn beside the labels: what the two networks say of an image, as far as they can be believed."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from modelstitch.frozen import FrozenNetwork
from modelstitch.images import EVALUATION_BATCH, DeviceImages

GUESSING = 0.05  # a network whose reliability is less is not asked
NEAR = 0.05  # a cell whose accuracy is as near as this to the teacher's learns from the labels alone
MEMORY = 0.95  # of the lead, a step


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
        sender, receiver: of the cells.
        reliabilities: theirs, as `reliability` finds them.
        cells: how many there are.
        device: theirs.

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
        """Of images (N, C, H, W), their labels (N,) and all the sender's representations of them, by layer."""
        last = len(self.sender.layers) - 1
        weighted = []
        for network, reliability in self.believed:
            logits = network.suffix(last, representations[last]) if network is self.sender else network(images)
            weighted.append(reliability * logits.float().softmax(dim=1))
        own = torch.stack(weighted).sum(dim=0) / sum(reliability for _, reliability in self.believed)
        hard = torch.zeros_like(own).scatter_(1, labels[:, None], 1.0)
        accuracy = (own.argmax(dim=1) == labels).float().mean()
        return Lesson(torch.lerp(hard, own, self.share), accuracy, (self.lead > NEAR).float())

    def compare(self, lesson: Lesson, accuracy: Tensor) -> None:
        """Follow the lead, after a batch on which each cell had some `accuracy` (cells,)."""
        self.lead.lerp_((lesson.accuracy - accuracy).to(self.lead.dtype), 1 - MEMORY)


@torch.no_grad()
def reliability(network: FrozenNetwork, images: DeviceImages, chosen: Tensor) -> float:
    """How much better than guessing a network is on images of some indices (N,): 0 as good or worse, 1 always right.

    Cohen's kappa between its classes and the labels; 0 where it overflows, or all is of one class.
    """
    parts = chosen.split(EVALUATION_BATCH)
    logits = torch.cat([network(images.normalised(part).to(images.dtype)) for part in parts])
    if not logits.isfinite().all():
        return 0.0
    classes, labels = logits.argmax(dim=1), images.labels[chosen]
    counts = (torch.bincount(values, minlength=network.classes).double() for values in (classes, labels))
    chance = torch.dot(*counts).item() / len(chosen) ** 2
    agreement = (classes == labels).double().mean().item()
    return max(0.0, (agreement - chance) / (1 - chance)) if chance < 1 else 0.0
