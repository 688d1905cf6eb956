"""Outcomes: which test images each cell gets right, for resampling and for comparing cells image by image."""

from pathlib import Path

import numpy as np

from modelstitch.accuracy import correct
from modelstitch.analysis.evidence import Evidence
from modelstitch.records import PairRecord

BLOCK = 4096  # pairs of cells whose outcomes are held at once


def read(path: Path | str, evidence: Evidence) -> tuple[PairRecord, np.ndarray]:
    """A pair's record, and which test images each of its C cells gets right: bool (C, images).

    Cells are in the order of the record, column by column. A cell without a result gets no image right.

    Raises:
        ModelstitchError: as `Evidence.read`.
    """
    record = evidence.read(path)
    right = np.concatenate([correct(column.predictions, evidence.labels) for column in record.columns])
    failed = np.isnan(np.concatenate([column.test_accuracy for column in record.columns]))
    return record, right & ~failed[:, None]


def pack(right: np.ndarray) -> np.ndarray:
    """Pack bool (C, images) as bits into uint64 (C, words), with zeros at the end."""
    packed = np.packbits(right, axis=1)
    return np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8))).view(np.uint64)


def unpack(packed: np.ndarray, images: int) -> np.ndarray:
    """Undo `pack`: 0 and 1 as uint8 (C, images)."""
    return np.unpackbits(packed.view(np.uint8), axis=1, count=images)


def count_both(packed: np.ndarray, ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The number of images that both cells of each pair get right.

    Args:
        packed: the cells' outcomes, as `pack` returns them.
        ones, others: indices of the cells of each pair, (P,).

    Returns:
        int64 (P,).
    """
    counts = np.empty(len(ones), np.int64)
    for start in range(0, len(ones), BLOCK):
        part = slice(start, start + BLOCK)
        counts[part] = np.bitwise_count(packed[ones[part]] & packed[others[part]]).sum(axis=1)
    return counts
