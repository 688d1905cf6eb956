"""What a page shows of a single cell, from its pair's record: the curve of its training, and its confusions."""

from typing import Any

import numpy as np

from modelstitch.explorer.numbers import rounded
from modelstitch.records import PairRecord

CURVE_DIGITS = 4
WHOLE = 20  # classes up to which all confusions are kept
MISTAKES = 50  # that are kept of more classes
FIRST = 35  # behind the letters that JSON escapes
LAST = 0xD7FF  # letter before those that aren't letters by themselves


def of_record(record: PairRecord, labels: np.ndarray, classes: int) -> dict[str, Any]:
    """Details of the cells of a pair, each list with one item per cell: sender layers down, receiver layers across.

    `train_accuracy` and `train_loss` are per epoch. `confusion` counts test images by class and predicted class, class
    times the number of classes plus predicted class: up to `WHOLE` classes as a text, of which each letter's code less
    `FIRST` is a count, which packs into two thirds of what numbers do; of more classes, [place, count] of what is right
    and of the `MISTAKES` most frequent mistakes; null for a cell without a result.

    Args:
        record: of the pair.
        labels: int64 (N,), of the test images.
        classes: how many there are.
    """
    cells = [(column, row) for row in range(len(record.columns[0].sender_layers)) for column in record.columns]
    curves = ("train_accuracy", "train_loss")
    return {
        **{name: [rounded(getattr(column, name)[row], CURVE_DIGITS) for column, row in cells] for name in curves},
        "confusion": [
            None if np.isnan(column.test_accuracy[row]) else _kept(column.predictions[row], labels, classes)
            for column, row in cells
        ],
    }


def _kept(predictions: np.ndarray, labels: np.ndarray, classes: int) -> str | list[Any]:
    counts = np.bincount(labels * classes + predictions, minlength=classes**2)
    if classes <= WHOLE and counts.max() <= LAST - FIRST:
        return "".join(chr(FIRST + count) for count in counts.tolist())
    right = np.arange(classes) * (classes + 1)
    wrong = counts.copy()
    wrong[right] = 0
    kept = np.union1d(right, np.argsort(-wrong, kind="stable")[:MISTAKES])
    return [[place, count] for place, count in zip(kept.tolist(), counts[kept].tolist(), strict=True) if count]
