"""How far a stitched network is from its receiver, layer by layer: what moves stitches in place of a cross-entropy."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from modelstitch.networks.frozen import FrozenNetwork


class Alignment(ABC):
    """An error of representations to those that the receiver has of the same images.

    Args:
        receiver: the frozen network.
    """

    def __init__(self, receiver: FrozenNetwork) -> None:
        self.receiver = receiver

    def expected(self, images: Tensor) -> dict[int, Tensor]:
        """The receiver's own representations of images (N, C, H, W), by layer."""
        return self.receiver.representations(images)

    @abstractmethod
    def errors(self, stages: Sequence[Tensor], layer: int, expected: Mapping[int, Tensor], part: slice) -> Tensor:
        """Errors (cells, images) of what follows from a receiver's layer.

        Args:
            stages: what the layer and each later one gives, then the logits, (cells x images, *shape) each.
            layer: the receiver's.
            expected: the receiver's own, by layer, of the whole batch.
            part: which images of it.
        """


class Functional(Alignment):
    """Mean of ‖z - e‖ / ‖e‖ over the cut and all later layers."""

    def errors(self, stages: Sequence[Tensor], layer: int, expected: Mapping[int, Tensor], part: slice) -> Tensor:
        """As `Alignment` says."""
        ratios = []
        for later, given in enumerate(stages[:-1], start=layer):
            own = expected[later][part].flatten(1).float()
            distance = (_by_cell(given, len(own)) - own).norm(dim=2)
            ratios.append(distance / own.norm(dim=1).clamp_min(torch.finfo(torch.float32).tiny))
        return torch.stack(ratios).mean(dim=0)


class Penultimate(Alignment):
    """Squared error ‖z - e‖² of the last layer over the mean of ‖e‖² of the batch."""

    def errors(self, stages: Sequence[Tensor], layer: int, expected: Mapping[int, Tensor], part: slice) -> Tensor:
        """As `Alignment` says."""
        every = expected[max(expected)].flatten(1).float()
        own = every[part]
        squares = (_by_cell(stages[-2], len(own)) - own).square().sum(dim=2)
        return squares / every.square().sum(dim=1).mean().clamp_min(torch.finfo(torch.float32).tiny)


def _by_cell(values: Tensor, images: int) -> Tensor:
    """Values (cells x images, *shape) as float32 (cells, images, numbers)."""
    return values.flatten(1).unflatten(0, (-1, images)).float()
