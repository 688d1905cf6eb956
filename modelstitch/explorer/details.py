"""Details of single cells for the page, from the record of their pair: training curves and confusions."""

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
    """Details of a pair's cells: lists with one item per cell, row by row (rows are sender layers).

    `train_accuracy` and `train_loss` hold one number per epoch. `confusion` counts the test images by class and
    predicted class; the place of a count is class * classes + predicted class. Up to `WHOLE` classes it is a text: the
    code of each letter less `FIRST` is a count, and this packs into two thirds of the bytes that numbers take. With
    more classes it is a list of [place, count] for the right answers and the `MISTAKES` most frequent mistakes. A cell
    without a result has null.

    Args:
        record: the record of the pair.
        labels: classes of the test images, int64 (N,).
        classes: number of classes.
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
