"""Runs all stitches of an ordered pair together.

Both networks are frozen, so all cells can use the same batches: the sender runs once per batch, and the cells of a
column go through the receiver's suffix as one batch (`grouping`). Gradients of different stitches do not mix, so a
cell's result is the same as if it were trained alone. If a group does not fit into the device's memory, the groups are
halved and the batch is repeated.
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

Stitches = Mapping[Cell, Any]  # stitches of any family


class GroupOutput(NamedTuple):
    """The results of a group: its column, the group, losses (cells, images) and predicted classes (cells, images)."""

    column: int
    group: Group
    losses: Tensor
    predictions: Tensor


class StitchedPair:
    """A frozen sender, a frozen receiver, and the stitches of some of their cells (sender layer, receiver layer).

    Attributes:
        stitches: the cells' stitches, `in_order`.
        columns: the sender layers of the cells, by receiver layer.
        limit: the most bytes that the largest tensor of a group may have: set at the first pass, lowered by
            `within_memory`.
        current_group: the group that is going through a suffix; None between passes, and while the sender runs.
        classes: int64 (classes,): logit c of a cell is the receiver's logit `classes[c]`; None keeps their order.
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
        """Yield the column, the group and its logits, for all cells and images (N, C, H, W) from 0 to 1.

        Logits (cells, images of the group, classes) carry gradients to the stitches of these cells only.
        `representations`, if given, are those of `represent`, so that the sender does not run again.
        """
        for j, group, stitched in self._stitched(images, representations):
            yield j, group, self.logits_of(self.receiver.suffix(j, stitched), group)

    def passes_by_stage(
        self, images: Tensor, representations: Mapping[int, Tensor] | None = None
    ) -> Iterator[tuple[int, Group, list[Tensor]]]:
        """As `passes`, but with all stages: outputs of the column's layer and later ones, then the receiver's logits.

        Each stage is (cells x images of the group, *shape), cell by cell. The logits are not reordered by `classes`.
        """
        for j, group, stitched in self._stitched(images, representations):
            yield j, group, self.receiver.stages(j, stitched)

    def _stitched(
        self, images: Tensor, representations: Mapping[int, Tensor] | None
    ) -> Iterator[tuple[int, Group, Tensor]]:
        """Yield the column, the group, and what enters the suffix: the concatenated outputs of its stitches."""
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
        """The receiver's logits of a group as float32 (cells, images, classes), in the order of `classes`."""
        logits = logits.float() if self.classes is None else logits.float()[:, self.classes]
        return logits.unflatten(0, (len(group.sender_layers), -1))

    def represent(self, images: Tensor) -> dict[int, Tensor]:
        """The sender's representations of images (N, C, H, W), by layer, up to the last layer with a stitch."""
        self.limit = self.limit or self.limit_for(images)
        return self.sender.representations(images, self.last_sender_layer)

    @cached_property
    def suffixes(self) -> dict[int, Suffix]:
        """Sizes of the suffix of every column."""
        kept = kept_numbers(self.receiver)
        return {
            j: Suffix(self.receiver.shapes[j].size, max(self.receiver.largest[j + 1 :]), sum(kept[j + 1 :]))
            for j in self.columns
        }

    def limit_for(self, images: Tensor) -> int:
        """The most bytes that the largest tensor of a group may have, for batches like `images` (N, C, H, W)."""
        free = free_memory(images.device.type)
        if free is None:
            return limit_of(None, (), 0)
        numbers = sum(shape.size for layer, shape in self.sender.shapes.items() if layer <= self.last_sender_layer)
        sender_bytes = len(images) * self.sender.dtype.itemsize * numbers
        return limit_of(free, list(self.suffixes.values()), sender_bytes)

    def within_memory(
        self, work: Callable[[Tensor, Tensor], list[GroupOutput]], images: Tensor, labels: Tensor
    ) -> list[GroupOutput]:
        """Run `work`, a pass over a batch, and start it again with smaller groups whenever memory is exhausted.

        Raises:
            torch.OutOfMemoryError: if memory is exhausted by a group of one cell and one image, or outside the groups.
        """
        while True:
            self.current_group = None
            try:
                return work(images, labels)
            except torch.OutOfMemoryError:
                if self.current_group is None or self.current_group.size == 1:
                    raise
            # Here, after the `except`: the error's traceback keeps tensors alive.
            release_memory()
            self.limit = self.current_group.largest_bytes // 2
            mib = self.limit / 2**20
            say(f"the device's memory is exhausted: from here on the largest tensor of a group has {mib:.3g} MiB")
