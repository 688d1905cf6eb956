"""How much goes through a suffix at once.

The cells of a column share the suffix, so what their stitches give can be concatenated; and a cell's batch can be cut.
The right group is the one whose largest tensor in the suffix fills the processor's caches and no more: taken from the
shapes, never from a stopwatch, so that a result stays bit-identical from run to run.

A GPU takes more, as its memory allows: 256 MiB, halved until the sender's representations and all that a training step
holds of a group fill no more than half of the memory that is free as the pair begins. The other half is for cuDNN's
workspaces, the stitches and what other processes take.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

CPU_BYTES = 8 * 2**20
GPU_BYTES = 256 * 2**20
GPU_SHARE = 0.5  # of the free memory
# Tensors of a group that are alive in a backward pass beside those that autograd keeps, counted as its largest ones.
PASSING = 4


class Suffix(NamedTuple):
    """What a suffix holds of one image, in numbers.

    Attributes:
        entering: of the representation that enters it.
        largest: of its largest tensor, that which enters included.
        kept: of all that autograd keeps for the backward pass.
    """

    entering: int
    largest: int
    kept: int


class Group(NamedTuple):
    """Cells of one column that enter the suffix together.

    Attributes:
        sender_layers: the cells'.
        images: which part of the batch.
        largest_bytes: what its largest tensor in the suffix fills.
    """

    sender_layers: tuple[int, ...]
    images: slice
    largest_bytes: int

    @property
    def size(self) -> int:
        """How many representations enter the suffix: one for each cell and image."""
        return len(self.sender_layers) * (self.images.stop - self.images.start)


def limit_of(free: int | None, suffixes: Sequence[Suffix], sender_bytes: int) -> int:
    """Bytes that a group's largest tensor may fill: 8 MiB on a CPU (4 to 16 is flat), up to 256 MiB on a GPU.

    Args:
        free: bytes of the GPU's memory that are free; None for a CPU, where it doesn't matter.
        suffixes: of every column.
        sender_bytes: of the sender's representations of a batch. A group's stitches may copy each once, as patches.
    """
    if free is None:
        return CPU_BYTES
    limit = GPU_BYTES
    while limit > 1 and 2 * sender_bytes + max(group_bytes(suffix, limit) for suffix in suffixes) > GPU_SHARE * free:
        limit //= 2
    return limit


def group_bytes(suffix: Suffix, largest_bytes: int) -> int:
    """Bytes that a training step holds of a group at most, if its largest tensor fills so many.

    What autograd keeps, and what enters the suffix, once as each stitch made it and once concatenated. Beside them a
    backward pass holds no more than four of the largest: gradients in a block.
    """
    numbers = suffix.kept + 2 * suffix.entering + PASSING * suffix.largest
    return largest_bytes * numbers // suffix.largest


def group_column(largest: int, sender_layers: Sequence[int], batch: int, itemsize: int, limit: int) -> list[Group]:
    """Groups that cover every cell of a column and every image of the batch once, in even parts.

    Args:
        largest: numbers of one image in the suffix's largest tensor.
        sender_layers: the column's cells.
        batch: images in the batch.
        itemsize: bytes of a number.
        limit: bytes that the largest tensor of the suffix may fill.
    """
    image_bytes = itemsize * largest
    size = max(1, limit // image_bytes)
    cells = even_parts(len(sender_layers), max(1, size // batch))
    images = even_parts(batch, min(size, batch))
    return [
        Group(tuple(sender_layers[cell]), part, image_bytes * (cell.stop - cell.start) * (part.stop - part.start))
        for cell, part in itertools.product(cells, images)
    ]


def even_parts(count: int, most: int) -> list[slice]:
    """The fewest slices of `0 .. count - 1` of at most `most` elements, as equal as can be."""
    parts = -(-count // most)
    bounds = [count * part // parts for part in range(parts + 1)]
    return [slice(start, stop) for start, stop in itertools.pairwise(bounds)]
