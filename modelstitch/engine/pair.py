"""Every stitch of an ordered pair, run together.

Both networks are frozen, so all cells see the same batches and the sender runs once for each; the cells of a column
enter the receiver's suffix as one batch (`grouping`). Gradients of separate stitches do not mix, so a cell's result is
what it would have been alone. Where a device's memory can't hold a group, the groups are halved and the batch is taken
again.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from modelstitch.engine.grouping import Group, Suffix, group_column, limit_of
from modelstitch.engine.profile import kept_numbers
from modelstitch.hardware import free_memory, release_memory
from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.progress import say
from modelstitch.stitches.geometry import Cell, in_order

Stitches = Mapping[Cell, Any]  # of any family


class GroupOutput(NamedTuple):
    """What came out of a group: its column, itself, losses and predicted classes, both (cells, images)."""

    column: int
    group: Group
    losses: Tensor
    predictions: Tensor


class StitchedPair:
    """A frozen sender, a frozen receiver, and the stitches of some of their cells (sender layer, receiver layer).

    Attributes:
        stitches: of the cells, `in_order`.
        columns: the sender layers of each receiver layer.
        limit: bytes that the largest tensor of a group may fill: found at the first pass, halved by `within_memory`.
        current_group: the group that is in a suffix; None between passes, and while the sender is at work.
        classes: int64 (classes,): which of the receiver's classes counts for each; None where each is its own.
    """

    def __init__(
        self, sender: FrozenNetwork, receiver: FrozenNetwork, stitches: Stitches, classes: Tensor | None = None
    ) -> None:
        self.sender, self.receiver, self.classes = sender, receiver, classes
        self.stitches = {cell: stitches[cell] for cell in in_order(stitches)}
        self.last_sender_layer = max(i for i, _ in self.stitches)
        self.columns: dict[int, list[int]] = {}
        for i, j in self.stitches:
            self.columns.setdefault(j, []).append(i)
        self.limit: int | None = None
        self.current_group: Group | None = None

    def passes(
        self, images: Tensor, representations: Mapping[int, Tensor] | None = None
    ) -> Iterator[tuple[int, Group, Tensor]]:
        """Logits of every cell for images (N, C, H, W) of 0 to 1, a group at a time: its column, itself, its logits.

        The logits (cells, images of the group, classes) carry the gradient of their own stitches only. The sender's
        `representations`, as `represent` gives them, are not made again where they are given.
        """
        for j, group, stitched in self._stitched(images, representations):
            yield j, group, self.logits_of(self.receiver.suffix(j, stitched), group)

    def passes_by_stage(
        self, images: Tensor, representations: Mapping[int, Tensor] | None = None
    ) -> Iterator[tuple[int, Group, list[Tensor]]]:
        """As `passes`, but with what the column's layer and each later one gives, then the logits as they come.

        Each stage is (cells x images of the group, *shape), cell by cell.
        """
        for j, group, stitched in self._stitched(images, representations):
            yield j, group, self.receiver.stages(j, stitched)

    def _stitched(
        self, images: Tensor, representations: Mapping[int, Tensor] | None
    ) -> Iterator[tuple[int, Group, Tensor]]:
        """What enters the suffix, a group at a time."""
        representations = self.represent(images) if representations is None else representations
        itemsize = self.receiver.dtype.itemsize
        for j, sender_layers in self.columns.items():
            largest = max(self.receiver.largest[j + 1 :])
            for group in group_column(largest, sender_layers, len(images), itemsize, self.limit):
                self.current_group = group
                stitched = [self.stitches[i, j](representations[i][group.images]) for i in group.sender_layers]
                yield j, group, torch.cat(stitched) if len(stitched) > 1 else stitched[0]
        self.current_group = None

    def logits_of(self, logits: Tensor, group: Group) -> Tensor:
        """Logits (cells, images, classes) of a group, float32, in the order of `classes`, of those that came out."""
        logits = logits.float() if self.classes is None else logits.float()[:, self.classes]
        return logits.unflatten(0, (len(group.sender_layers), -1))

    def represent(self, images: Tensor) -> dict[int, Tensor]:
        """The sender's representations of images (N, C, H, W) by layer, up to the last that a stitch sees."""
        self.limit = self.limit or self.limit_for(images)
        return self.sender.representations(images, self.last_sender_layer)

    @cached_property
    def suffixes(self) -> dict[int, Suffix]:
        """What the suffix of every column holds of one image."""
        kept = kept_numbers(self.receiver)
        return {
            j: Suffix(self.receiver.shapes[j].size, max(self.receiver.largest[j + 1 :]), sum(kept[j + 1 :]))
            for j in self.columns
        }

    def limit_for(self, images: Tensor) -> int:
        """Bytes that the largest tensor of a group may fill, for batches like `images` (N, C, H, W)."""
        free = free_memory(images.device.type)
        if free is None:
            return limit_of(None, (), 0)
        numbers = sum(shape.size for layer, shape in self.sender.shapes.items() if layer <= self.last_sender_layer)
        sender_bytes = len(images) * self.sender.dtype.itemsize * numbers
        return limit_of(free, list(self.suffixes.values()), sender_bytes)

    def within_memory(
        self, work: Callable[[Tensor, Tensor], list[GroupOutput]], images: Tensor, labels: Tensor
    ) -> list[GroupOutput]:
        """What comes out of `work`, a pass over a batch, begun anew with smaller groups where one exhausts the memory.

        Raises:
            torch.OutOfMemoryError: if a single representation exhausts it, or anything outside the suffixes.
        """
        while True:
            self.current_group = None
            try:
                return work(images, labels)
            except torch.OutOfMemoryError:
                if self.current_group is None or self.current_group.size == 1:
                    raise
            # Only after the error are the tensors gone that its traceback holds.
            release_memory()
            self.limit = self.current_group.largest_bytes // 2
            mib = self.limit / 2**20
            say(f"the device's memory is exhausted: from here on the largest tensor of a group has {mib:.3g} MiB")
