"""Which test images each cell of a record gets right: what is resampled and compared, image by image."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modelstitch.accuracy import correct
from modelstitch.analysis.evidence import Evidence
from modelstitch.records import PairRecord

BLOCK = 4096  # pairs of cells whose outcomes are held at once


@dataclass(frozen=True)
class Outcomes:
    """The cells with a result of one record, C of them.

    Attributes:
        record: whose they are.
        layers: their sender and receiver layers, (C, 2).
        right: bool (C, test images).
    """

    record: PairRecord
    layers: np.ndarray
    right: np.ndarray


def read(path: Path | str, evidence: Evidence) -> Outcomes:
    """The outcomes of a pair's record on the test images of its study.

    Raises:
        ModelstitchError: as `Evidence.read`.
    """
    record = evidence.read(path)
    layers = np.array([(i, column.receiver_layer) for column in record.columns for i in column.sender_layers])
    right = np.concatenate([correct(column.predictions, evidence.labels) for column in record.columns])
    kept = ~np.isnan(np.concatenate([column.test_accuracy for column in record.columns]))
    return Outcomes(record, layers[kept], right[kept])


def pack(right: np.ndarray) -> np.ndarray:
    """Bool (C, images) as bits: uint64 (C, words), zeros at the end."""
    packed = np.packbits(right, axis=1)
    return np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8))).view(np.uint64)


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
