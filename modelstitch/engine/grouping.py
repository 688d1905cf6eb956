"""How many cells and images go through a suffix at once: a group.

The cells of a column share the suffix, so the outputs of their stitches can be concatenated; and a batch can be split.
A group should be so large that its largest tensor in the suffix just fits the processor's caches. Its size is computed
from shapes, never measured, so that results are bit-identical from run to run.

On a GPU the largest tensor may have 256 MiB. This is halved until the sender's representations and all tensors of a
training step on one group take at most half of the memory that is free when the pair begins. The other half is for
cuDNN's workspaces, the stitches and other processes.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

CPU_BYTES = 8 * 2**20
GPU_BYTES = 256 * 2**20
GPU_SHARE = 0.5  # of the free memory
# Tensors that a backward pass holds in addition to those that autograd keeps, each as large as the largest tensor.
PASSING = 4


class Suffix(NamedTuple):
    """Sizes of a suffix's tensors for one image, as counts of numbers.

    Attributes:
        entering: the representation that enters the suffix.
        largest: the largest tensor, which may be the one that enters.
        kept: all tensors that autograd keeps for the backward pass, together.
    """

    entering: int
    largest: int
    kept: int


class Group(NamedTuple):
    """Cells of one column, and images of a batch, that go through the suffix together.

    Attributes:
        sender_layers: the sender layers of the cells.
        images: the part of the batch.
        largest_bytes: size of the group's largest tensor in the suffix, in bytes.
    """

    sender_layers: tuple[int, ...]
    images: slice
    largest_bytes: int

    @property
    def size(self) -> int:
        """The number of representations that enter the suffix: one per cell and image."""
        return len(self.sender_layers) * (self.images.stop - self.images.start)


def limit_of(free: int | None, suffixes: Sequence[Suffix], sender_bytes: int) -> int:
    """Bytes that a group's largest tensor may have: 8 MiB on a CPU (4 to 16 MiB are as fast), up to 256 MiB on a GPU.

    Args:
        free: free bytes of the GPU's memory; None for a CPU, where it does not matter.
        suffixes: the suffix of every column.
        sender_bytes: size of the sender's representations of a batch. Twice as much is reserved, since a group's
            stitches may copy each of them once, as patches.
    """
    if free is None:
        return CPU_BYTES
    limit = GPU_BYTES
    while limit > 1 and 2 * sender_bytes + max(group_bytes(suffix, limit) for suffix in suffixes) > GPU_SHARE * free:
        limit //= 2
    return limit


def group_bytes(suffix: Suffix, largest_bytes: int) -> int:
    """The most bytes that a training step holds for a group whose largest tensor has `largest_bytes`.

    These are the tensors that autograd keeps, and what enters the suffix, twice: as the outputs of the stitches, and
    concatenated. In addition the backward pass holds up to four tensors of the largest size: gradients within a block.
    """
    numbers = suffix.kept + 2 * suffix.entering + PASSING * suffix.largest
    return largest_bytes * numbers // suffix.largest


def group_column(largest: int, sender_layers: Sequence[int], batch: int, itemsize: int, limit: int) -> list[Group]:
    """Groups of about equal size, which together cover each cell of a column and each image of the batch once.

    Args:
        largest: size of the suffix's largest tensor for one image, as a count of numbers.
        sender_layers: the sender layers of the column's cells.
        batch: number of images in the batch.
        itemsize: bytes of a number.
        limit: the most bytes that the largest tensor of the suffix may have.
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
    """Cut `0 .. count - 1` into the fewest slices of at most `most` elements, which differ by at most one element."""
    parts = -(-count // most)
    bounds = [count * part // parts for part in range(parts + 1)]
    return [slice(start, stop) for start, stop in itertools.pairwise(bounds)]
