"""Cells as matrices: rows are the sender's layers, columns the receiver's."""

import csv
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from modelstitch.analysis.controls import OVER_REMAPPED, with_excess
from modelstitch.errors import ModelstitchError
from modelstitch.files import replacing

PAIR = ["objective", "sender", "receiver"]
LAYERS = ["sender_layer", "receiver_layer"]


def matrix(cells: pd.DataFrame, objective: str, sender: str, receiver: str, value: str = "accuracy") -> pd.DataFrame:
    """The matrix of one ordered pair, of any column of the cells table; NaN for cells that are not in the table.

    Raises:
        ModelstitchError: if the table has no cell of the pair.
    """
    chosen = cells[(cells.objective == objective) & (cells.sender == sender) & (cells.receiver == receiver)]
    if chosen.empty:
        raise ModelstitchError(f"{objective}: {sender} to {receiver}: not a pair of the cells table")
    return chosen.pivot(index="sender_layer", columns="receiver_layer", values=value)


def matrices(cells: pd.DataFrame, value: str = "accuracy") -> dict[tuple[str, str, str], pd.DataFrame]:
    """The matrices of all pairs, by (objective, sender, receiver), in the order of the table."""
    return dict(each_matrix(cells, value))


def each_matrix(cells: pd.DataFrame, value: str = "accuracy") -> Iterator[tuple[tuple[str, str, str], pd.DataFrame]]:
    """`matrices`, one after the other and without pivots, which take minutes for the 100,000 of a large study."""
    for pair, rows in cells[[*PAIR, *LAYERS, value]].groupby(PAIR, sort=False):
        (senders, i), (receivers, j) = (np.unique(rows[name].to_numpy(), return_inverse=True) for name in LAYERS)
        values = np.full((len(senders), len(receivers)), np.nan)
        values[i, j] = rows[value]
        axes = {name: pd.Index(layers, name=name) for name, layers in zip(LAYERS, (senders, receivers), strict=True)}
        yield pair, pd.DataFrame(values, *axes.values())


def rank_correlation(one: pd.Series, other: pd.Series) -> float:
    """Spearman's correlation between the cells of two matrices; NaN if either is constant."""
    if one.nunique() < 2 or other.nunique() < 2:
        return np.nan
    return one.rank().corr(other.rank())


def write_all(cells: pd.DataFrame, folder: Path | str) -> None:
    """Write every pair's matrix as `<objective>/<sender>/<receiver>.csv`, its relative accuracies as `.relative.csv`.

    The excess of the task over remapped labels is one of the objectives, without relative accuracies. The first columns
    are `sender_layer` and `sender_layer_name`; the others are headed by index and name of the receiver's layers:
    `0 layers.0`, ...
    """
    for (objective, sender, receiver), pair in with_excess(cells).groupby(PAIR, sort=False):
        for value, suffix in (("accuracy", ".csv"), ("relative_accuracy", ".relative.csv")):
            if (objective, value) == (OVER_REMAPPED, "relative_accuracy"):
                continue
            with replacing(Path(folder) / objective / sender / f"{receiver}{suffix}") as temporary:
                _write(temporary, pair, value)


def _write(path: Path, pair: pd.DataFrame, value: str) -> None:
    """Write a matrix without pandas, which takes ten times as long; a large study has 100,000 matrices."""
    layers = [
        list(zip(pair[f"{role}_layer"], pair[f"{role}_layer_name"], strict=True)) for role in ("sender", "receiver")
    ]
    values = dict(zip(zip(*layers, strict=True), pair[value].tolist(), strict=True))
    rows, columns = (sorted(set(found)) for found in layers)
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["sender_layer", "sender_layer_name", *(f"{layer} {name}" for layer, name in columns)])
        for row in rows:
            numbers = (values.get((row, column), math.nan) for column in columns)
            writer.writerow([*row, *("NaN" if math.isnan(number) else number for number in numbers)])
