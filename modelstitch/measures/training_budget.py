"""The matrix of a pair after more and more training, from two starts: how much of the triangle is left?

Accuracies of stitches that were trained too little are too low, above the diagonal most of all, so that training may
explain a part of the triangle (docs/experiments.md). Where two starts agree, the stitches have converged.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from modelstitch.analysis import triangle
from modelstitch.analysis.evidence import Evidence, agree
from modelstitch.analysis.matrices import rank_correlation

PAIR, CELL = ["objective", "sender", "receiver"], ["sender_layer", "receiver_layer"]
NAMED_CELL = ["sender_layer", "sender_layer_name", "receiver_layer", "receiver_layer_name"]
COUNTS = ["sender_layer_count", "receiver_layer_count"]
TRIANGLE = ("below", "above", "difference", "depth_slope")
# Of two matrices: mean and largest absolute difference over cells, and rank correlation.
APART = ("apart", "largest_apart", "spearman_apart")
SHORT = ("short", "largest_short", "spearman_best")
COLUMNS = (
    *PAIR,
    "epochs",
    "start",
    "cells",
    "accuracy",
    *TRIANGLE,
    "left",
    *APART,
    *SHORT,
)


def cells(paths: Sequence[Path | str], evidence: Evidence) -> pd.DataFrame:
    """One row per cell: `PAIR`, `epochs`, `start`, `NAMED_CELL`, `COUNTS` and `accuracy`, NaN if it has no result.

    Args:
        paths: `<objective>/<epochs>/<start>/<sender>/<receiver>.h5`.
        evidence: the data set and study that the records are checked against.

    Raises:
        ModelstitchError: as `Evidence.read`.
    """
    rows = []
    for path in paths:
        objective, epochs, start = Path(path).parts[-5:-2]
        known = (evidence.settings or {}).get(objective)
        record = evidence.read(path, 2, known and {**known, "epochs": float(epochs), "start": start})
        about, settings = record.attributes, record.attributes["settings"]
        agree(path, "settings.epochs", settings.get("epochs"), float(epochs))
        agree(path, "settings.start", settings.get("start"), start)
        pair = {
            "objective": about["objective"],
            "sender": about["sender"],
            "receiver": about["receiver"],
            "epochs": settings["epochs"],
            "start": settings["start"],
        }
        counts = dict(zip(COUNTS, (len(record.sender), len(record.receiver)), strict=True))
        for column in record.columns:
            j = column.receiver_layer
            for i, accuracy in zip(column.sender_layers, column.test_accuracy, strict=True):
                layers = (i, record.sender.name(i), j, record.receiver.name(j))
                cell = dict(zip(NAMED_CELL, layers, strict=True)) | {"accuracy": accuracy}
                rows.append(pair | cell | counts)
    return pd.DataFrame(rows, columns=[*PAIR, "epochs", "start", *NAMED_CELL, *COUNTS, "accuracy"])


def measure(cells: pd.DataFrame) -> pd.DataFrame:
    """Summary of each budget: one row for each pair, number of epochs and start, in the order of the cells.

    - `accuracy` is the mean over cells, and `TRIANGLE` the numbers of `triangle.numbers`.
    - `left` is `difference` divided by that of the smallest budget from the same start, if this is above 0.
    - `apart`, `largest_apart` and `spearman_apart` compare the two starts at this budget: mean and largest absolute
      difference over cells, and rank correlation.
    - `short`, `largest_short` and `spearman_best` compare with the best accuracy of each cell over all budgets and
      starts in the same way.

    Args:
        cells: what `cells` returns.

    Returns:
        `COLUMNS`. Cells without a result are left out; a comparison is NaN if there is nothing to compare with.
    """
    rows = []
    for pair, chosen in cells.groupby(PAIR, sort=False):
        depths = chosen[COUNTS].iloc[0]
        matrices = {
            budget: matrix.pivot(index=CELL[0], columns=CELL[1], values="accuracy")
            for budget, matrix in chosen.groupby(["epochs", "start"], sort=False)
        }
        triangles = {budget: triangle.numbers_or_nan(matrix, *depths) for budget, matrix in matrices.items()}
        best = chosen.groupby(CELL).accuracy.max().unstack()
        for (epochs, start), matrix in matrices.items():
            smallest = min(other for other, same in matrices if same == start)
            numbers, first = triangles[epochs, start], triangles[smallest, start]["difference"]
            others = [found for (other, another), found in matrices.items() if other == epochs and another != start]
            rows.append(
                dict(zip(PAIR, pair, strict=True))
                | {
                    "epochs": epochs,
                    "start": start,
                    "cells": int(matrix.notna().sum().sum()),
                    "accuracy": np.nanmean(matrix),
                    "left": numbers["difference"] / first if first > 0 else np.nan,
                }
                | {name: numbers[name] for name in TRIANGLE}
                | (dict(zip(APART, compare(matrix, others[0]), strict=True)) if others else {})
                | dict(zip(SHORT, compare(matrix, best), strict=True))
            )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def compare(one: pd.DataFrame, other: pd.DataFrame) -> tuple[float, float, float]:
    """Mean and largest absolute difference and rank correlation of two matrices, over the cells that both have."""
    pairs = pd.DataFrame({"one": one.stack(), "other": other.stack()}).dropna()
    difference = (pairs.one - pairs.other).abs()
    return difference.mean(), difference.max(), rank_correlation(pairs.one, pairs.other)
