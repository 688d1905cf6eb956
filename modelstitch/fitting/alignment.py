"""Losses that compare a stitched network with its receiver layer by layer, used instead of a cross-entropy."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from modelstitch.networks.frozen import FrozenNetwork


class Alignment(ABC):
    """An error of a stitched network's representations against the receiver's own for the same images.

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
        """Errors (cells, images) of a group of cells of one column.

        Args:
            stages: the outputs of the receiver's `layer` and of each later one, then the logits, each (cells x images,
                *shape).
            layer: the receiver layer of the column.
            expected: the receiver's own representations of the whole batch, by layer.
            part: the images of the batch that are in the group.
        """


class Functional(Alignment):
    """Mean of ‖z - e‖ / ‖e‖ over the stitched and all later layers: z in the stitched network, e in the receiver."""

    def errors(self, stages: Sequence[Tensor], layer: int, expected: Mapping[int, Tensor], part: slice) -> Tensor:
        """As `Alignment.errors`."""
        ratios = []
        for later, given in enumerate(stages[:-1], start=layer):
            own = expected[later][part].flatten(1).float()
            distance = (_by_cell(given, len(own)) - own).norm(dim=2)
            ratios.append(distance / own.norm(dim=1).clamp_min(torch.finfo(torch.float32).tiny))
        return torch.stack(ratios).mean(dim=0)


class Penultimate(Alignment):
    """‖z - e‖² at the last layer, over the mean of ‖e‖² of the batch: z in the stitched network, e in the receiver."""

    def errors(self, stages: Sequence[Tensor], layer: int, expected: Mapping[int, Tensor], part: slice) -> Tensor:
        """As `Alignment.errors`."""
        every = expected[max(expected)].flatten(1).float()
        own = every[part]
        squares = (_by_cell(stages[-2], len(own)) - own).square().sum(dim=2)
        return squares / every.square().sum(dim=1).mean().clamp_min(torch.finfo(torch.float32).tiny)


def _by_cell(values: Tensor, images: int) -> Tensor:
    """Values (cells x images, *shape) as float32 (cells, images, numbers)."""
    return values.flatten(1).unflatten(0, (-1, images)).float()
