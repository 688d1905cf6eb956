"""Is a cell higher than another? Paired over the test images, by the records alone, with Holm's correction."""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import bdtr, ndtri

from modelstitch.analysis import outcomes
from modelstitch.analysis.cells import ORDER, RECORDED, ROLES, rows_of
from modelstitch.analysis.controls import CELL
from modelstitch.analysis.depth import corresponding
from modelstitch.analysis.evidence import Evidence
from modelstitch.analysis.matrices import PAIR
from modelstitch.analysis.tables import in_order
from modelstitch.config.stitches import is_remapped

CORRESPONDING, OWN_LAYER, RANDOM_SENDER = "corresponding", "own_layer", "random_sender"
LEVEL = 0.05
VERDICTS = HIGHER, LOWER, UNDECIDED = "higher", "lower", "undecided"
READ = [*PAIR, *CELL[1:], *(f"{role}_layer_{key}" for role in ROLES for key in ("name", "count"))]
COLUMNS = (
    *PAIR,
    "sender_layer",
    "sender_layer_name",
    "receiver_layer",
    "receiver_layer_name",
    "comparison",
    "other_sender_layer",
    "accuracy",
    "other_accuracy",
    "difference",
    "difference_low",
    "difference_high",
    "p",
    "p_holm",
    "verdict",
)


def compare(paths: Sequence[Path | str], evidence: Evidence) -> pd.DataFrame:
    """Each cell against others, image by image: one row per cell and comparison.

    Comparisons are with the cell of the same column whose sender layer corresponds to the receiver's layer
    (`corresponding`); with the receiver stitched to itself at that layer (`own_layer`); and, as in the cells' excesses,
    with the same cell of an untrained sender (`random_sender`) and, of the task, on remapped labels (each objective of
    them). No cell is compared with itself, nor a pair of a network with itself with `own_layer`, which is
    `corresponding` there.

    `difference` is the cell's accuracy less the other's. Its interval (95 %) is normal, with the standard error of a
    paired bootstrap over test images, which has a closed form; its width is 0 where no image tells the cells apart. `p`
    is exact (`mcnemar`), since a bootstrap of 1,000 resamples knows none below 0.001, and Holm's correction of 100
    cells asks for 0.0005. `p_holm` is corrected over the cells of a pair and comparison; the verdict is `higher` or
    `lower` where it is at most `LEVEL`, and `undecided` elsewhere.

    Args:
        paths: the records of the pairs.
        evidence: what they are held against.

    Returns:
        `COLUMNS`, cells and others with a result only.

    Raises:
        ModelstitchError: as `Evidence.read`.
    """
    cells, packed = _read(paths, evidence)
    pairs = pd.concat([_compared(cells, *comparison) for comparison in _comparisons(cells)], ignore_index=True)
    pairs = pairs.sort_values("row", kind="stable", ignore_index=True)
    places, images = cells.place.to_numpy(), len(evidence.labels)
    one, other = places[pairs.row], places[pairs.other]
    right = np.bitwise_count(packed).sum(axis=1, dtype=np.int64)
    both = outcomes.count_both(packed, one, other)
    only_one, only_other = right[one] - both, right[other] - both
    difference = (only_one - only_other) / images
    half = ndtri(1 - LEVEL / 2) * np.sqrt((only_one + only_other) / images - difference**2) / np.sqrt(images)
    measured = {
        "comparison": pairs.comparison,
        "other_sender_layer": cells.sender_layer.to_numpy()[pairs.other],
        "accuracy": right[one] / images,
        "other_accuracy": right[other] / images,
        "difference": difference,
        "difference_low": difference - half,
        "difference_high": difference + half,
        "p": mcnemar(only_one, only_other),
    }
    table = cells.iloc[pairs.row].reset_index(drop=True).assign(**measured)
    families = table.groupby([*PAIR, "comparison"], sort=False).p
    table["p_holm"] = families.transform(holm)
    table["verdict"] = np.where(table.p_holm > LEVEL, UNDECIDED, np.where(difference > 0, HIGHER, LOWER))
    return table[list(COLUMNS)]


def summarise(comparisons: pd.DataFrame) -> pd.DataFrame:
    """One row per pair and comparison: how many `cells`, their mean `difference`, and how many have each verdict."""
    groups = comparisons.groupby([*PAIR, "comparison"], sort=False)
    table = groups.agg(cells=("difference", "size"), difference=("difference", "mean"))
    counted = {verdict: groups.verdict.agg(lambda found, one=verdict: (found == one).sum()) for verdict in VERDICTS}
    return table.assign(**counted).reset_index()


def mcnemar(only_one: np.ndarray, only_other: np.ndarray) -> np.ndarray:
    """Exact two-sided p that two cells are right equally often, by the images that only one of them gets right.

    Given how many there are, each is as likely the one's as the other's (McNemar 1947; binomial, not chi-squared): the
    permutation test that exchanges the two cells' outcomes of an image at random.
    """
    discordant = only_one + only_other
    return (2 * bdtr(np.minimum(only_one, only_other), discordant, 0.5)).clip(max=1)


def holm(p: np.ndarray | pd.Series) -> np.ndarray:
    """Corrected p of a family of tests, (T,): all that are at most a level hold together at that level (Holm 1979)."""
    values = np.asarray(p, float)
    order = np.argsort(values)
    corrected = np.empty_like(values)
    corrected[order] = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)).clip(max=1)
    return corrected


def _read(paths: Sequence[Path | str], evidence: Evidence) -> tuple[pd.DataFrame, np.ndarray]:
    """The cells with a result, C of them, in the order of their table, and outcomes as bits (C, words) at `place`."""
    rows, packed = [], []
    for path in paths:
        found = outcomes.read(path, evidence)
        rows += [{name: row[name] for name in READ} for row in rows_of(found.record) if row["reason"] == ""]
        packed.append(outcomes.pack(found.right))
    cells = pd.DataFrame(rows, columns=READ).astype({name: RECORDED[name] for name in READ})
    return in_order(cells.assign(place=np.arange(len(cells))), ORDER), np.concatenate(packed)


def _comparisons(cells: pd.DataFrame) -> Iterator[tuple[str, pd.Series, dict[str, object]]]:
    """Name of each comparison, the cells that it is for (bool), and how the other cell's `CELL` differs."""
    nearest = cache(lambda *column: corresponding(*column) if column[0] >= 0 else -1)
    columns = cells[["receiver_layer", "receiver_layer_count", "sender_layer_count"]].itertuples(index=False)
    diagonal = pd.Series([nearest(*column) for column in columns], cells.index, "int64")
    yield CORRESPONDING, cells.receiver_layer >= 0, {"sender_layer": diagonal}
    own = {f"sender_{key}": cells[f"receiver_{key}"] for key in ("architecture", "recipe", "seed", "layer")}
    yield OWN_LAYER, cells.sender != cells.receiver, own
    trained = (cells.sender_recipe == "trained") & (cells.receiver_recipe == "trained")
    yield RANDOM_SENDER, trained, {"sender_recipe": "random"}
    for objective in cells.objective[cells.objective.map(is_remapped)].unique():
        yield objective, cells.objective == "task", {"objective": objective}


def _compared(cells: pd.DataFrame, comparison: str, chosen: pd.Series, changes: dict[str, object]) -> pd.DataFrame:
    """Rows of a comparison's cells and of their others, where there is one and it is another: `row`, `other`."""
    known = cells[list(CELL)].assign(other=np.arange(len(cells)))
    wanted = cells.assign(row=np.arange(len(cells)), **changes)[chosen]
    found = wanted[["row", *CELL]].merge(known, on=list(CELL), validate="many_to_one")
    return found.loc[found.row != found.other, ["row", "other"]].assign(comparison=comparison)
