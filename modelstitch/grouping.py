"""How many maps go through a suffix at once.

The cells of a column share the suffix, so their maps can be concatenated; and a cell's batch can be cut. The right
group is the one whose largest map in the suffix fills the processor's caches and no more: taken from the shapes, never
from a stopwatch, so that a result stays bit-identical from run to run.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from modelstitch.architectures import Shape

CPU_MAP_BYTES = 8 * 2**20
GPU_MAP_BYTES = 256 * 2**20


class Group(NamedTuple):
    """Cells of one column that enter the suffix together: their sender layers, and which part of the batch."""

    sender_layers: tuple[int, ...]
    images: slice


def map_bytes(device: str) -> int:
    """Bytes that the largest map of a group may fill: 8 MiB on a CPU (4 to 16 is flat), 256 MiB on a GPU."""
    return GPU_MAP_BYTES if device == "cuda" else CPU_MAP_BYTES


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
    image_bytes = itemsize * max(shape.channels * shape.height * shape.width for shape in suffix_shapes)
    maps = max(1, limit // image_bytes)
    cells = even_parts(len(sender_layers), max(1, maps // batch))
    images = even_parts(batch, min(maps, batch))
    return [Group(tuple(sender_layers[cell]), part) for cell, part in itertools.product(cells, images)]


def even_parts(count: int, most: int) -> list[slice]:
    """The fewest slices of `0 .. count - 1` of at most `most` elements, as equal as can be."""
    parts = -(-count // most)
    bounds = [count * part // parts for part in range(parts + 1)]
    return [slice(start, stop) for start, stop in itertools.pairwise(bounds)]
