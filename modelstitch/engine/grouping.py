"""How many maps go through a suffix at once.

The cells of a column share the suffix, so their maps can be concatenated; and a cell's batch can be cut. The right
group is the one whose largest map in the suffix fills the processor's caches and no more: taken from the shapes, never
from a stopwatch, so that a result stays bit-identical from run to run.

A GPU takes more, as its memory allows: 256 MiB, halved until the sender's representations and all that a training step
holds of a group fill no more than half of the memory that is free as the pair begins. That is `group_bytes`, 3.4 GiB
for R2222 and 9.9 GiB for R9999; the other half is for cuDNN's workspaces, the stitches and what other processes take.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from modelstitch.networks.architectures import Shape

CPU_MAP_BYTES = 8 * 2**20
GPU_MAP_BYTES = 256 * 2**20
GPU_SHARE = 0.5  # of the free memory
# Maps of a group that are alive in a backward pass beside those that autograd keeps, counted as its largest ones.
PASSING_MAPS = 4


class Group(NamedTuple):
    """Cells of one column that enter the suffix together.

    Attributes:
        sender_layers: the cells'.
        images: which part of the batch.
        map_bytes: how many bytes its largest map in the suffix fills.
    """

    sender_layers: tuple[int, ...]
    images: slice
    map_bytes: int

    @property
    def maps(self) -> int:
        """How many maps enter the suffix: one a cell and image."""
        return len(self.sender_layers) * (self.images.stop - self.images.start)


def map_limit(free: int | None, suffixes: Sequence[Sequence[Shape]], sender_bytes: int) -> int:
    """Bytes that the largest map of a group may fill: 8 MiB on a CPU (4 to 16 is flat), up to 256 MiB on a GPU.

    Args:
        free: bytes of the GPU's memory that are free; None for a CPU, where it doesn't matter.
        suffixes: of every column, shapes as of `group_column`.
        sender_bytes: of the sender's representations of a batch. A group's stitches may copy each once, as patches.
    """
    if free is None:
        return CPU_MAP_BYTES
    limit = GPU_MAP_BYTES
    while limit > 1 and 2 * sender_bytes + max(group_bytes(shapes, limit) for shapes in suffixes) > GPU_SHARE * free:
        limit //= 2
    return limit


def group_bytes(suffix_shapes: Sequence[Shape], map_bytes: int) -> int:
    """Bytes of maps that a training step holds for a group at most, if its largest map fills `map_bytes`.

    Autograd keeps two maps a block (after either ReLU) and those that enter the suffix, once as each stitch made them
    and once concatenated. Beside them a backward pass holds no more than four of the largest: gradients in a block.
    """
    sizes = [math.prod(shape) for shape in suffix_shapes]
    return map_bytes * (2 * sum(sizes) + PASSING_MAPS * max(sizes)) // max(sizes)


def group_column(
    suffix_shapes: Sequence[Shape], sender_layers: Sequence[int], batch: int, itemsize: int, limit: int
) -> list[Group]:
    """Groups that cover every cell of a column and every image of the batch once, in even parts.

    Args:
        suffix_shapes: shapes of the maps from the receiver's layer to its last one.
        sender_layers: the column's cells.
        batch: images in the batch.
        itemsize: bytes of an activation.
        limit: bytes that the largest map of the suffix may fill.
    """
    image_bytes = itemsize * max(math.prod(shape) for shape in suffix_shapes)
    maps = max(1, limit // image_bytes)
    cells = even_parts(len(sender_layers), max(1, maps // batch))
    images = even_parts(batch, min(maps, batch))
    return [
        Group(tuple(sender_layers[cell]), part, image_bytes * (cell.stop - cell.start) * (part.stop - part.start))
        for cell, part in itertools.product(cells, images)
    ]


def even_parts(count: int, most: int) -> list[slice]:
    """The fewest slices of `0 .. count - 1` of at most `most` elements, as equal as can be."""
    parts = -(-count // most)
    bounds = [count * part // parts for part in range(parts + 1)]
    return [slice(start, stop) for start, stop in itertools.pairwise(bounds)]
