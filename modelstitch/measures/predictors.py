"""What predicts the accuracy of a cell? One regression over all cells of a study, cross-validated over pairs.

The paper leaves open why a triangle appears (arXiv 2303.11277). Candidates are what the sender's layer holds, what
least squares reaches, depth, the size of the stitch, and the remapped control. This module measures how much of the
accuracy each of them explains, alone and beside the others. The answer is about correlations: nothing is intervened on.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import RegressorMixin, clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from modelstitch.analysis.controls import OVER_REMAPPED
from modelstitch.analysis.evidence import Evidence
from modelstitch.config.families import Family
from modelstitch.config.section import read
from modelstitch.networks.representations import Representation
from modelstitch.stitches.families import capacity, geometry_of

CELL = ["sender", "receiver", "sender_layer", "receiver_layer"]
RECIPES = ["sender_recipe", "receiver_recipe"]
ALL = "all"
PROBE, LAST_COLUMN = "probe_accuracy", "last_column_accuracy"
REMAPPED = "remapped_accuracy"
PREDICTORS = (PROBE, LAST_COLUMN, "least_squares_error", "sender_later", "sender_earlier", "capacity", REMAPPED)
OUTCOMES = ("accuracy", OVER_REMAPPED)
FEWEST_LEAF = 10  # cells in a leaf of a tree: a pair of Small ResNets has 25 or more
MODELS = {
    "ridge": make_pipeline(StandardScaler(), Ridge(alpha=1.0)),
    "trees": HistGradientBoostingRegressor(
        max_iter=50, max_leaf_nodes=8, min_samples_leaf=FEWEST_LEAF, early_stopping=False, random_state=0
    ),
}
COLUMNS = (
    *RECIPES,
    "outcome",
    "model",
    "predictors",
    "predictor",
    "r2",
    "r2_std",
    "drop",
    "drop_std",
    "coefficient",
    "cells",
    "pairs",
    "folds",
)


def capacities(paths: Sequence[Path | str], evidence: Evidence) -> pd.DataFrame:
    """The capacity of each cell's stitch in the records: `CELL` and `capacity`, the decimal logarithm of its dimension.

    Raises:
        ModelstitchError: as `Evidence.read`.
    """
    rows = []
    for record in map(evidence.read, paths):
        family = read(Family, record.attributes["settings"]["family"])
        between = geometry_of(family)
        pair = [record.attributes[role] for role in ("sender", "receiver")]
        for column in record.columns:
            j = column.receiver_layer
            for i in column.sender_layers:
                geometry = between(Representation(*record.sender.shape(i)), Representation(*record.receiver.shape(j)))
                rows.append((*pair, i, j, np.log10(capacity(geometry, family))))
    return pd.DataFrame(rows, columns=[*CELL, "capacity"])


def observations(
    cells: pd.DataFrame,
    sizes: pd.DataFrame,
    probes: pd.DataFrame | None = None,
    distances: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row per cell of the task with a result: `CELL`, `RECIPES`, `OUTCOMES`, and the `PREDICTORS` that are known.

    - `probe_accuracy`: accuracy of a linear probe on the sender's layer. A study without probes has
      `last_column_accuracy` instead, that of the stitch to the receiver's last layer; the cells of this last column are
      then left out, since it is their own accuracy.
    - `least_squares_error`: error of the stitch of least squared error over the expected variance, from `distances`.
    - `sender_later`: relative depth of the sender's layer less the receiver's, 0 if negative; `sender_earlier`: the
      same with exchanged signs.
    - `capacity`: decimal logarithm of the dimension of the maps that the stitch can express.
    - `remapped_accuracy`: accuracy of the same cell on remapped labels, mean over permutations.

    Args:
        cells: the cells table.
        sizes: what `capacities` returns.
        probes, distances: the tables of these measures, if the study has them.
    """
    task = cells[cells.objective == "task"].dropna(subset=["accuracy"])
    task = task.merge(sizes, on=CELL, how="left", validate="one_to_one")
    later = task.sender_depth - task.receiver_depth
    task = task.assign(sender_later=later.clip(lower=0), sender_earlier=(-later).clip(lower=0))
    if task[OVER_REMAPPED].notna().any():
        task[REMAPPED] = task.accuracy - task[OVER_REMAPPED]
    sender_layer = ["sender", "receiver", "sender_layer"]
    if probes is not None:
        task = task.merge(probes[[*sender_layer, PROBE]], on=sender_layer, how="left", validate="many_to_one")
    else:
        last = task.receiver_layer == task.receiver_layer_count - 1
        column = task.loc[last, [*sender_layer, "accuracy"]].rename(columns={"accuracy": LAST_COLUMN})
        task = task[~last].merge(column, on=sender_layer, how="left", validate="many_to_one")
    if distances is not None:
        errors = distances[[*CELL, "ES_over_variance"]].rename(columns={"ES_over_variance": "least_squares_error"})
        task = task.merge(errors, on=CELL, how="left", validate="one_to_one")
    found = [name for name in PREDICTORS if name in task and task[name].notna().any()]
    return task[[*CELL, *RECIPES, *OUTCOMES, *found]]


def measure(table: pd.DataFrame, folds: int) -> pd.DataFrame:
    """How well the predictors explain each outcome, over all pairs and over those of each two recipes: `COLUMNS`.

    For each outcome and model there is a row of `all` predictors, one of each predictor `alone`, and one `without`
    each, which has the `drop` in R² and the standardised `coefficient` of a ridge regression on all. A group leaves out
    outcomes and predictors that some of its recipes lack, and then cells with missing values. A group of fewer than two
    pairs of networks has no row. The excess over the remapped accuracy is not predicted by the remapped accuracy.

    Args:
        table: what `observations` returns.
        folds: folds of cross-validation; at most one per pair of networks, whose two directions are in the same fold.
    """
    groups = [((ALL, ALL), table)] if table[RECIPES].drop_duplicates().shape[0] > 1 else []
    groups += list(table.groupby(RECIPES, sort=False))
    rows = []
    for recipes, group in groups:
        columns = [name for name in (*OUTCOMES, *PREDICTORS) if name in group]
        counts = group.groupby(RECIPES)[columns].count()
        everywhere = [name for name in columns if (counts[name] > 0).all()]
        for outcome in (name for name in OUTCOMES if name in everywhere):
            names = [name for name in PREDICTORS if name in everywhere]
            names = [name for name in names if (outcome, name) != (OVER_REMAPPED, REMAPPED)]
            known = group.dropna(subset=[outcome, *names])
            about = dict(zip(RECIPES, recipes, strict=True)) | {"outcome": outcome}
            rows += [about | row for row in explained(known, outcome, names, folds)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def explained(table: pd.DataFrame, outcome: str, names: Sequence[str], folds: int) -> Iterator[dict[str, object]]:
    """The rows of one outcome, from a table without missing values; none for fewer than two pairs of networks."""
    pairs = pair_of(table)
    count = pairs.nunique()
    if count < 2:
        return
    folds = min(folds, count)
    about = {"cells": len(table), "pairs": count, "folds": folds}
    for model, regressor in MODELS.items():

        def scores(chosen: Sequence[str], regressor: RegressorMixin = regressor) -> np.ndarray:
            return cross_validated(regressor, table[list(chosen)], table[outcome], pairs, folds)

        every = scores(names)
        row = {"model": model, **about}
        yield row | {"predictors": "all", "predictor": ALL} | summary(every)
        coefficients = _coefficients(table[list(names)], table[outcome]) if model == "ridge" else {}
        for name in names:
            yield row | {"predictors": "alone", "predictor": name} | summary(scores([name]))
        for name in names:
            others = scores([other for other in names if other != name])
            drop = every - others
            yield (
                row
                | {"predictors": "without", "predictor": name}
                | summary(others)
                | {"drop": drop.mean(), "drop_std": drop.std(), "coefficient": coefficients.get(name, np.nan)}
            )


def summary(scores: np.ndarray) -> dict[str, float]:
    """Mean and standard deviation of R² over folds (folds,)."""
    return {"r2": scores.mean(), "r2_std": scores.std()}


def pair_of(table: pd.DataFrame) -> pd.Series:
    """The two networks that each cell joins, the same for both directions."""
    return table[["sender", "receiver"]].apply(lambda row: " ".join(sorted(row)), axis=1)


def cross_validated(
    regressor: RegressorMixin, values: pd.DataFrame, outcome: pd.Series, groups: pd.Series, folds: int
) -> np.ndarray:
    """R² of each fold (folds,): 1 less the mean squared error on held-out groups over the variance of the outcome.

    The variance is that of all cells, not that of the fold: some pairs hardly vary, so that a small error would seem
    large.

    Args:
        regressor: the model, fitted anew for each fold.
        values: predictors (N, P); if P is 0, the prediction is the mean of the other folds.
        outcome: (N,).
        groups: (N,); a group is never split between folds.
        folds: number of folds.
    """
    errors = []
    for train, test in GroupKFold(folds).split(values, outcome, groups):
        predicted = outcome.iloc[train].mean()
        if values.shape[1]:
            predicted = clone(regressor).fit(values.iloc[train], outcome.iloc[train]).predict(values.iloc[test])
        errors.append(np.square(outcome.iloc[test] - predicted).mean())
    variance = outcome.var(ddof=0)
    return 1 - np.array(errors) / variance if variance > 0 else np.full(folds, np.nan)


def _coefficients(values: pd.DataFrame, outcome: pd.Series) -> dict[str, float]:
    """Standardised coefficients of a ridge regression on all cells."""
    fitted = clone(MODELS["ridge"]).fit(values, (outcome - outcome.mean()) / (outcome.std(ddof=0) or 1))
    return dict(zip(values, fitted[-1].coef_, strict=True))
