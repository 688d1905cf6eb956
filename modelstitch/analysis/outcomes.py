"""Which test images each cell gets right: what is resampled and compared, image by image."""

from pathlib import Path

import numpy as np

from modelstitch.accuracy import correct
from modelstitch.analysis.evidence import Evidence
from modelstitch.records import PairRecord

BLOCK = 4096  # pairs of cells whose outcomes are held at once


def read(path: Path | str, evidence: Evidence) -> tuple[PairRecord, np.ndarray]:
    """A pair's record, and what its C cells get right of the test images of its study: bool (C, images).

    Cells are in the order of the record: columns after each other. One without a result gets nothing right.

    Raises:
        ModelstitchError: as `Evidence.read`.
    """
    record = evidence.read(path)
    right = np.concatenate([correct(column.predictions, evidence.labels) for column in record.columns])
    failed = np.isnan(np.concatenate([column.test_accuracy for column in record.columns]))
    return record, right & ~failed[:, None]


def pack(right: np.ndarray) -> np.ndarray:
    """Bool (C, images) as bits: uint64 (C, words), zeros at the end."""
    packed = np.packbits(right, axis=1)
    return np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8))).view(np.uint64)


def unpack(packed: np.ndarray, images: int) -> np.ndarray:
    """What `pack` made bits of, as 0 and 1: uint8 (C, images)."""
    return np.unpackbits(packed.view(np.uint8), axis=1, count=images)


def count_both(packed: np.ndarray, ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Of how many images both cells of each pair are right.

    Args:
        packed: the cells' outcomes, as `pack` returns them.
        ones, others: places among them, (P,).

    Returns:
        int64 (P,).
    """
    counts = np.empty(len(ones), np.int64)
    for start in range(0, len(ones), BLOCK):
        part = slice(start, start + BLOCK)
        counts[part] = np.bitwise_count(packed[ones[part]] & packed[others[part]]).sum(axis=1)
    return counts
