"""Which measure of similarity tells each control from the real thing, and by how much.

The real thing are stitches for the task between networks of one architecture, the *reference*, trained from different
seeds. A control takes the place of the sender (an untrained network, one that is known to lack something, noise, the
image) or of the labels (remapped, of other images). A measure that does not rate the real thing above a control that
has nothing to do with the receiver is refuted as a measure of similarity.
"""

import re
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from modelstitch.analysis.controls import EXCESSES, OVER_REMAPPED
from modelstitch.analysis.depth import THIRDS, corresponding, relative_depth
from modelstitch.config.stitches import DERANGED, IMAGE, MARKED, is_remapped
from modelstitch.seeds import seed_of

CELL = ["sender", "receiver", "sender_layer", "receiver_layer"]
STRATUM = ["receiver", "sender_layer", "receiver_layer"]
RESAMPLES, QUANTILES = 1000, (0.025, 0.975)
FEWEST = 5  # cells that a verdict needs
# Thirds of the receiver's relative depth, and all of it.
DEPTHS = {"all": (0, np.inf)} | THIRDS
# Columns of other tables: what is no measure of the cell's similarity, and what is the smaller the more similar.
NO_MEASURE = re.compile(
    r".*(_layer|_count|_depth|_seed|_expected|_null|_networks)|random_.*|.*images|variance|neighbours"
)
DISTANCE = re.compile(
    r"mahalanobis|neighbour_distance|detection|.*relative_error|amplification|(EV|ES|SV)(_over_variance)?"
)
COLUMNS = {
    "measure": "str",
    "control": "str",
    "depth": "str",
    "receivers": "int64",
    "cells": "int64",
    "real": "float64",
    "control_mean": "float64",
    "auc": "float64",
    "low": "float64",
    "high": "float64",
    "verdict": "str",
}


def measure(
    cells: pd.DataFrame, others: Mapping[str, pd.DataFrame], noise: pd.DataFrame | None, reference: str, seed: int
) -> pd.DataFrame:
    """One row for each measure, control and third of the receiver's depth in which both have values.

    `auc` is the area under the ROC curve: the probability that the real thing's cell is rated above the control's, a
    tie counting one half. Cells are matched by receiver and pair of layers, and `auc` is the mean over these. `low` and
    `high` hold 95 % of a bootstrap that draws receivers, then cells of each. `verdict` is `tells apart` where the whole
    interval is above 0.5, `the wrong way` where it is below, else `does not`; `too few cells` where there are fewer
    than `FEWEST`.

    Args:
        cells: the cells table.
        others: tables with a row per cell, whose numbers are measures too. Of a distance, the smaller is rated higher.
        noise: the table `clustered_noise`; None where the study has none.
        reference: architecture of the real thing; every other one is a control of its own name.
        seed: of the study.

    Returns:
        `COLUMNS`: `real` and `control_mean` are means of the measure over the matched cells. Empty where the study has
        no two networks of the reference.
    """
    rated, measures = with_measures(cells, others)
    real = real_cells(rated, reference)
    rows = []
    for control, found in controls(rated, real, noise, reference):
        for name in measures:
            if name in found and found[name].notna().any():
                matched = matches(real, found, name)
                rows += _rows(matched, name, control, seed_of(seed, "verdicts", name, control))
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return table.sort_values("measure", key=lambda column: column.map(measures.index), kind="stable", ignore_index=True)


def with_measures(cells: pd.DataFrame, others: Mapping[str, pd.DataFrame]) -> tuple[pd.DataFrame, list[str]]:
    """The cells with the measures of other tables beside the task's, and the names of all measures."""
    measures = ["accuracy", OVER_REMAPPED, *EXCESSES]
    task = cells.objective == "task"
    for table in others.values():
        if "objective" in table:
            table = table[table.objective == "task"]
        numbers = table.select_dtypes("number").columns
        added = [name for name in numbers if not NO_MEASURE.fullmatch(name) and name not in cells]
        found = cells[CELL].merge(table[[*CELL, *added]], on=CELL, how="left", validate="many_to_one")
        cells = cells.assign(**{name: found[name].where(task.to_numpy()).to_numpy() for name in added})
        measures += added
    return cells, measures


def real_cells(rated: pd.DataFrame, reference: str) -> pd.DataFrame:
    """The task's cells of two trained networks of the reference; of a network with itself none."""
    trained = (rated.sender_recipe == "trained") & (rated.receiver_recipe == "trained")
    of_reference = (rated.sender_architecture == reference) & (rated.receiver_architecture == reference)
    return rated[(rated.objective == "task") & trained & of_reference & (rated.sender != rated.receiver)]


def controls(
    rated: pd.DataFrame, real: pd.DataFrame, noise: pd.DataFrame | None, reference: str
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Every control and its cells, whose `sender_layer` is that of the real cells which they are compared with.

    A sender of another number of layers has the corresponding one, that is nearest in relative depth. The image, and
    noise of the shape of a receiver's layer, are compared with the layer that corresponds to the receiver's.
    """
    receivers = rated.receiver.isin(real.receiver.unique())
    task = rated[(rated.objective == "task") & receivers]
    untrained = task[(task.sender_architecture == reference) & (task.sender_recipe != "trained")]
    for recipe, found in untrained.groupby("sender_recipe", sort=False):
        yield f"{recipe} sender", found
    layers = real[["receiver", "sender_layer_count"]].drop_duplicates().set_index("receiver").sender_layer_count
    trained = task[(task.sender_architecture != reference) & (task.sender_recipe == "trained")]
    for name, found in trained.groupby("sender_architecture", sort=False):
        at = zip(found.sender_layer, found.sender_layer_count, found.receiver.map(layers), strict=True)
        yield name, found.assign(sender_layer=[corresponding(*layer) for layer in at])
    pairs = pd.MultiIndex.from_frame(real[["sender", "receiver"]].drop_duplicates())
    same = rated[pd.MultiIndex.from_frame(rated[["sender", "receiver"]]).isin(pairs)]
    # Of other stitches accuracy alone is a measure: their excesses are over other stitches of their own kind.
    same = same[["objective", *CELL, "receiver_layer_count", "accuracy"]]
    stitches = {
        "remapped labels": same.objective.map(is_remapped),
        "deranged images": same.objective == DERANGED,
        "marked images": same.objective == MARKED,
    }
    for name, chosen in stitches.items():
        yield name, same[chosen]
    yield "image", _at_corresponding(same[same.objective == IMAGE], layers)
    if noise is not None:
        for sigma, found in noise[noise.receiver.isin(layers.index)].groupby("sigma"):
            yield f"noise {sigma:g}", _at_corresponding(found, layers)


def _at_corresponding(found: pd.DataFrame, layers: pd.Series) -> pd.DataFrame:
    at = zip(found.receiver_layer, found.receiver_layer_count, found.receiver.map(layers), strict=True)
    return found.assign(sender_layer=[corresponding(*layer) for layer in at])


def matches(real: pd.DataFrame, control: pd.DataFrame, name: str) -> pd.DataFrame:
    """Real and control cells of a measure that are matched: one row per receiver and pair of layers.

    Returns:
        `STRATUM`, `depth` (of the receiver's layer), `auc`, and the means `real` and `control_mean`.
    """
    sign = -1 if DISTANCE.fullmatch(name) else 1
    counts = real.groupby("receiver").receiver_layer_count.first()
    sides = (side.dropna(subset=[name]).groupby(STRATUM)[name].agg(np.array) for side in (real, control))
    both = pd.concat(sides, axis=1, keys=["real", "control"], join="inner").reset_index()
    depths = [
        relative_depth(j, counts[receiver]) for receiver, j in zip(both.receiver, both.receiver_layer, strict=True)
    ]
    return both[STRATUM].assign(
        depth=np.array(depths, float),
        auc=[area(sign * one, sign * other) for one, other in zip(both.real, both.control, strict=True)],
        real=both.real.map(np.mean).astype(float),
        control_mean=both.control.map(np.mean).astype(float),
    )


def area(real: np.ndarray, control: np.ndarray) -> float:
    """Share of all pairs of a real and a control value in which the real one is higher, ties one half."""
    difference = np.subtract.outer(real, control).round(9)  # equal ones stay equal
    return float((np.sign(difference).mean() + 1) / 2)


def interval(matched: pd.DataFrame, seed: int) -> tuple[float, float]:
    """The middle 95 % of the mean `auc` over resamples: of receivers, then of the cells of each."""
    values = [found.to_numpy() for _, found in matched.groupby("receiver").auc]
    generator = np.random.default_rng(seed)
    chosen = generator.integers(len(values), size=(RESAMPLES, len(values)))
    total, count = np.zeros(chosen.shape), np.zeros(chosen.shape)
    for place, found in enumerate(values):
        here = chosen == place
        drawn = generator.integers(len(found), size=(here.sum(), len(found)))
        total[here], count[here] = found[drawn].sum(axis=1), len(found)
    low, high = np.quantile(total.sum(axis=1) / count.sum(axis=1), QUANTILES)
    return float(low), float(high)


def verdict(low: float, high: float) -> str:
    """By the interval of an area under the curve."""
    if low > 0.5:
        return "tells apart"
    return "the wrong way" if high < 0.5 else "does not"


def _rows(matched: pd.DataFrame, name: str, control: str, seed: int) -> Iterator[dict[str, object]]:
    for depth, (start, stop) in DEPTHS.items():
        found = matched[(matched.depth >= start) & (matched.depth < stop)]
        if found.empty:
            continue
        enough = len(found) >= FEWEST
        low, high = interval(found, seed) if enough else (np.nan, np.nan)
        yield {
            "measure": name,
            "control": control,
            "depth": depth,
            "receivers": found.receiver.nunique(),
            "cells": len(found),
            **found[["real", "control_mean", "auc"]].mean(),
            "low": low,
            "high": high,
            "verdict": verdict(low, high) if enough else "too few cells",
        }
