"""Matrices of the cells: rows are the sender's layers, columns the receiver's."""

from pathlib import Path

import numpy as np
import pandas as pd

from modelstitch.analysis.controls import OVER_REMAPPED, with_excess
from modelstitch.errors import ModelstitchError
from modelstitch.files import replacing

PAIR = ["objective", "sender", "receiver"]


def matrix(cells: pd.DataFrame, objective: str, sender: str, receiver: str, value: str = "accuracy") -> pd.DataFrame:
    """The matrix of one ordered pair, of any column of the cells table; a cell not in the table is NaN.

    Raises:
        ModelstitchError: if the table has no cell of the pair.
    """
    chosen = cells[(cells.objective == objective) & (cells.sender == sender) & (cells.receiver == receiver)]
    if chosen.empty:
        raise ModelstitchError(f"{objective}: {sender} to {receiver}: not a pair of the cells table")
    return chosen.pivot(index="sender_layer", columns="receiver_layer", values=value)


def matrices(cells: pd.DataFrame, value: str = "accuracy") -> dict[tuple[str, str, str], pd.DataFrame]:
    """The matrices of all pairs, by (objective, sender, receiver), in the order of the table."""
    return {
        pair: rows.pivot(index="sender_layer", columns="receiver_layer", values=value)
        for pair, rows in cells.groupby(PAIR, sort=False)
    }


def rank_correlation(one: pd.Series, other: pd.Series) -> float:
    """Spearman's, of the cells of two matrices; NaN where either is constant."""
    if one.nunique() < 2 or other.nunique() < 2:
        return np.nan
    return one.rank().corr(other.rank())


def write_all(cells: pd.DataFrame, folder: Path | str) -> None:
    """Write every pair's matrix as `<objective>/<sender>/<receiver>.csv`, its relative accuracies as `.relative.csv`.

    What of the task's accuracies is over those on remapped labels is one of the objectives, without relative ones.
    The first columns are `sender_layer` and `sender_layer_name`; the others are headed by the receiver's layers, each
    with its name: `0 layers.0`, ...
    """
    rows, columns = ([f"{role}_layer", f"{role}_layer_name"] for role in ("sender", "receiver"))
    for (objective, sender, receiver), pair in with_excess(cells).groupby(PAIR, sort=False):
        for value, suffix in (("accuracy", ".csv"), ("relative_accuracy", ".relative.csv")):
            if (objective, value) == (OVER_REMAPPED, "relative_accuracy"):
                continue
            values = pair.pivot(index=rows, columns=columns, values=value).sort_index(axis="columns")
            values.columns = [f"{layer} {name}" for layer, name in values.columns]
            with replacing(Path(folder) / objective / sender / f"{receiver}{suffix}") as temporary:
                values.to_csv(temporary, na_rep="NaN", lineterminator="\n")
