"""Which measure of similarity tells each control from the real thing, and by how much.

The real thing is a stitch for the task between two networks of one architecture, the *reference*, trained from
different seeds. A control replaces the sender (by an untrained network, by one that is known to lack something, by
noise, by the image) or the labels (by remapped ones, by those of other images). A measure of similarity is refuted if
it does not rate the real thing above a control that has nothing to do with the receiver.
"""

import itertools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from modelstitch.analysis.controls import EXCESSES, OVER_REMAPPED
from modelstitch.analysis.depth import THIRDS, corresponding, relative_depth
from modelstitch.config.stitches import DERANGED, IMAGE, MARKED, is_measured, is_remapped
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
    **{f"{kind}{end}": "float64" for kind in ("auc", "matched_auc") for end in ("", "_low", "_high")},
    "verdict": "str",
    "expected": "str",
}
APART, ALIKE = "tells apart", "does not"


class Matched(NamedTuple):
    """The K cells of one receiver that both the real thing and a control have.

    Attributes:
        sender_layer, receiver_layer: (K,).
        depth: relative depth of the receiver's layer (K,).
        real, control: means of the measure (K,).
        areas: (K, K), probability that a real value of the one cell is rated above a control's value of the other.
    """

    sender_layer: np.ndarray
    receiver_layer: np.ndarray
    depth: np.ndarray
    real: np.ndarray
    control: np.ndarray
    areas: np.ndarray

    def at(self, start: float, stop: float) -> "Matched":
        """The cells within a range of the receiver's relative depth."""
        chosen = (self.depth >= start) & (self.depth < stop)
        return Matched(*(each[chosen] for each in self[:-1]), self.areas[np.ix_(chosen, chosen)])


def measure(
    cells: pd.DataFrame,
    others: Mapping[str, pd.DataFrame],
    noise: pd.DataFrame | None,
    reference: str,
    seed: int,
    alike: Collection[str] = (),
) -> pd.DataFrame:
    """One row for each measure, control and third of the receiver's depth in which both have values.

    `auc` is the area under the ROC curve over cells: the probability that a cell of the real thing is rated above one
    of the control, with ties counted one half. `matched_auc` compares cells of the same layers only, which takes out
    the effect of depth: it is 1 if every cell is rated a little higher than its control. Both are means over receivers,
    with 95 % intervals of a bootstrap (`resampled`). `verdict` is `tells apart` if the interval of `matched_auc` is
    above 0.5, `the wrong way` if it is below, and else `does not`; with fewer than `FEWEST` cells it is `too few
    cells`.

    Args:
        cells: the cells table.
        others: more tables with a row per cell; their numbers are measures too. Small distances count as high ratings.
        noise: the table `clustered_noise`; None if the study has none.
        reference: architecture of the real thing; every other architecture is a control named after it.
        seed: seed of the study.
        alike: controls that no measure should tell from the real thing.

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
                rows += _rows(matched, name, control, alike, seed_of(seed, "verdicts", name, control))
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return table.sort_values("measure", key=lambda column: column.map(measures.index), kind="stable", ignore_index=True)


def with_measures(cells: pd.DataFrame, others: Mapping[str, pd.DataFrame]) -> tuple[pd.DataFrame, list[str]]:
    """The cells with the measures of other tables and objectives as more columns, and the names of all measures."""
    measures = ["accuracy", "agreement", OVER_REMAPPED, *EXCESSES]
    task = cells.objective == "task"
    for objective in cells.objective.unique():
        if objective != "task" and is_measured(objective):
            name = f"{objective}_accuracy"
            found = cells[cells.objective == objective].set_index(CELL).accuracy.rename(name)
            cells = cells.join(found, on=CELL)
            cells[name] = cells[name].where(task)
            measures.append(name)
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
    """The task's cells between two different trained networks of the reference."""
    trained = (rated.sender_recipe == "trained") & (rated.receiver_recipe == "trained")
    of_reference = (rated.sender_architecture == reference) & (rated.receiver_architecture == reference)
    return rated[(rated.objective == "task") & trained & of_reference & (rated.sender != rated.receiver)]


def controls(
    rated: pd.DataFrame, real: pd.DataFrame, noise: pd.DataFrame | None, reference: str
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Every control with its cells, whose `sender_layer` is that of the real cells to compare them with.

    For a sender with another number of layers this is the corresponding layer, the nearest in relative depth. The image
    and noise, which have no layers, are compared at the sender layer that corresponds to the receiver's.
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


def matches(real: pd.DataFrame, control: pd.DataFrame, name: str) -> list[Matched]:
    """Real and control values of a measure, for each receiver, over the pairs of layers that both have."""
    sign = -1 if DISTANCE.fullmatch(name) else 1
    counts = real.groupby("receiver").receiver_layer_count.first()
    sides = (side.dropna(subset=[name]).groupby(STRATUM)[name].agg(np.array) for side in (real, control))
    both = pd.concat(sides, axis=1, keys=["real", "control"], join="inner").reset_index()
    return [_matched(cells, counts[receiver], sign) for receiver, cells in both.groupby("receiver")]


def _matched(cells: pd.DataFrame, layers: int, sign: int) -> Matched:
    return Matched(
        sender_layer=cells.sender_layer.to_numpy(),
        receiver_layer=cells.receiver_layer.to_numpy(),
        depth=np.array([relative_depth(j, layers) for j in cells.receiver_layer], float),
        real=cells.real.map(np.mean).to_numpy(float),
        control=cells.control.map(np.mean).to_numpy(float),
        areas=np.array([[area(sign * one, sign * other) for other in cells.control] for one in cells.real]),
    )


def area(real: np.ndarray, control: np.ndarray) -> float:
    """Share of all pairs of a real and a control value in which the real one is higher; ties count one half."""
    difference = np.subtract.outer(real, control).round(9)  # equal ones stay equal
    return float((np.sign(difference).mean() + 1) / 2)


def areas_under_curve(receivers: Sequence[Matched]) -> dict[str, float]:
    """`auc`, of each real cell against each control cell, and `matched_auc`, against that of the same layers.

    Both are means over receivers.
    """
    return {
        "auc": float(np.mean([one.areas.mean() for one in receivers])),
        "matched_auc": float(np.mean([one.areas.diagonal().mean() for one in receivers])),
    }


def resampled(receivers: Sequence[Matched], seed: int) -> dict[str, np.ndarray]:
    """`areas_under_curve` in B resamples of receivers and, within each receiver, of rows and columns; (B,) each.

    Layers are drawn instead of cells, since cells that share a layer are not independent (Owen's 2007 pigeonhole
    bootstrap).
    """
    generator = np.random.default_rng(seed)
    chosen = generator.integers(len(receivers), size=(RESAMPLES, len(receivers)))
    totals, drawn = np.zeros((2, RESAMPLES)), np.zeros(RESAMPLES)
    for place, one in itertools.product(range(len(receivers)), range(len(receivers))):
        here = np.flatnonzero(chosen[:, place] == one)
        found = receivers[one]
        counts = (_counts(layers, len(here), generator) for layers in (found.sender_layer, found.receiver_layer))
        weights = np.multiply(*counts)  # (B, K)
        count = weights.sum(axis=1)
        kept = count > 0  # a matrix with gaps may leave nothing
        here, weights, count = here[kept], weights[kept], count[kept]
        totals[0, here] += np.einsum("bk,bk->b", weights @ found.areas, weights) / count**2
        totals[1, here] += weights @ found.areas.diagonal() / count
        drawn[here] += 1
    means = totals[:, drawn > 0] / drawn[drawn > 0]
    return dict(zip(("auc", "matched_auc"), means, strict=True))


def _counts(layers: np.ndarray, resamples: int, generator: np.random.Generator) -> np.ndarray:
    """How often the layer of each cell is drawn in resamples of the layers, (B, K)."""
    known, place = np.unique(layers, return_inverse=True)
    draws = generator.multinomial(len(known), np.full(len(known), 1 / len(known)), size=resamples)
    return draws[:, place]


def verdict(low: float, high: float) -> str:
    """The verdict from the interval of an area under the curve."""
    if low > 0.5:
        return APART
    return "the wrong way" if high < 0.5 else ALIKE


def _rows(
    matched: Sequence[Matched], name: str, control: str, alike: Collection[str], seed: int
) -> Iterator[dict[str, object]]:
    for depth, (start, stop) in DEPTHS.items():
        receivers = [one.at(start, stop) for one in matched]
        receivers = [one for one in receivers if len(one.real)]
        if not receivers:
            continue
        cells = sum(len(one.real) for one in receivers)
        row = {
            "measure": name,
            "control": control,
            "depth": depth,
            "receivers": len(receivers),
            "cells": cells,
            "real": np.concatenate([one.real for one in receivers]).mean(),
            "control_mean": np.concatenate([one.control for one in receivers]).mean(),
            **areas_under_curve(receivers),
            "expected": ALIKE if control in alike else APART,
            "verdict": "too few cells",
        }
        if cells >= FEWEST:
            for kind, values in resampled(receivers, seed).items():
                row |= zip((f"{kind}_low", f"{kind}_high"), np.quantile(values, QUANTILES), strict=True)
            row["verdict"] = verdict(row["matched_auc_low"], row["matched_auc_high"])
        yield row
