"""Bytes that a study's files take, counted from shapes."""

import math
from collections.abc import Sequence

from modelstitch.config.families import LINEAR, Family
from modelstitch.identifiers import NetworkId
from modelstitch.planning.study import PlannedStudy

# What a tensor, a stitch's header, a record, and a record's cell take beside their predictions. A prediction takes some
# nine tenths of its bits once it is compressed (CIFAR-10, trained pairs; random ones less).
TENSOR_BYTES, STITCH_BYTES, RECORD_BYTES, CELL_BYTES, COMPRESSED = 100, 400, 18_000, 105, 0.9
# Tables and matrices: a cell; figures: a pair's heat map and its share of the others, in one format.
CELL_TABLE_BYTES, FIGURE_BYTES = 1000, 60_000


def dataset(plan: PlannedStudy) -> int:
    """The data set's file: one byte per pixel, eight per label."""
    image, train_images, test_images, _ = plan.sizes
    return (train_images + test_images) * (math.prod(image) + 8)


def network(plan: PlannedStudy, network: str | NetworkId) -> int:
    """Weights and running statistics of a network, float32."""
    description = plan.description(network)
    return 4 * description.parameters + TENSOR_BYTES * description.tensors


def record(plan: PlannedStudy, sender_layers: Sequence[int], receiver_layers: Sequence[int]) -> int:
    """The record of a pair: mostly its predictions, compressed."""
    cells = len(sender_layers) * len(receiver_layers)
    prediction = COMPRESSED * math.log2(plan.sizes.classes) / 8
    return round(RECORD_BYTES + cells * (CELL_BYTES + plan.sizes.test_images * prediction))


def stitches(
    plan: PlannedStudy,
    sender: str | NetworkId,
    receiver: str | NetworkId,
    sender_layers: Sequence[int],
    receiver_layers: Sequence[int],
    family: Family = LINEAR,
) -> int:
    """The trained stitches of these cells, of one family, float32."""
    work = plan.work(sender, receiver, sender_layers, receiver_layers, family)
    return sum(4 * numbers + 2 * TENSOR_BYTES + STITCH_BYTES for numbers in work.stitch_numbers)


def tables(plan: PlannedStudy, pairs: int, cells: int) -> int:
    """Tables, matrices, figures, and the outcomes: one bit per cell and test image."""
    outcomes = 8 * math.ceil(plan.sizes.test_images / 64) * cells
    return CELL_TABLE_BYTES * cells + outcomes + FIGURE_BYTES * pairs * len(plan.study.figures.formats)
