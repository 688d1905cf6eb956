"""Is one cell more accurate than another? Tests paired over the test images, with Holm's correction."""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import bdtr, ndtri

from modelstitch.analysis import gathering, outcomes
from modelstitch.analysis.cells import ORDER, ROLES
from modelstitch.analysis.controls import CELL
from modelstitch.analysis.depth import corresponding
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


def compare(folder: Path | str, by_sender: bool = False) -> Iterator[tuple[str, pd.DataFrame]]:
    """Compare each cell with others, image by image: one row per cell and comparison, as one table or one per sender.

    There are these comparisons; a cell is never compared with itself:

    - `corresponding`: the cell of the same column whose sender layer corresponds to the receiver's layer;
    - `own_layer`: the receiver stitched to itself at that layer (left out where the pair is that of a network with
      itself, since it is `corresponding` there);
    - `random_sender`: the same cell with an untrained sender;
    - the name of an objective of remapped labels: for the task, the same cell on these labels.

    `difference` is the cell's accuracy less the other's. Its 95 % interval is normal, with the standard error of a
    paired bootstrap over test images, which has a closed form; its width is 0 if both cells are right on the same
    images. `p` is exact (`mcnemar`): a bootstrap of 1,000 resamples gives no p below 0.001, and Holm's correction of
    100 cells needs 0.0005. `p_holm` is corrected over the cells of a pair and comparison. The verdict is `higher` or
    `lower` where it is at most `LEVEL`, and `undecided` elsewhere.

    Args:
        folder: what `gathering.gather` made of the study's records.
        by_sender: whether to give one table per sender.

    Returns:
        The sender ("" for a whole study) and a table of `COLUMNS`, only of cells where both have a result.
    """
    for chunk in gathering.chunks(folder, [*READ, "test_images", "reason"], by_sender, with_right=True):
        yield chunk.sender, _compare(chunk)


def _compare(chunk: gathering.Chunk) -> pd.DataFrame:
    cells = chunk.table.assign(own=chunk.own, place=np.arange(len(chunk.table)))
    cells = in_order(cells[cells.reason == ""], ORDER)
    packed, images = chunk.right, int(chunk.table.test_images.iloc[0])
    pairs = pd.concat([_compared(cells, *comparison) for comparison in _comparisons(cells)], ignore_index=True)
    pairs = pairs.sort_values("row", kind="stable", ignore_index=True)
    places = cells.place.to_numpy()
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
    counted = comparisons.assign(**{verdict: (comparisons.verdict == verdict).astype("int64") for verdict in VERDICTS})
    groups = counted.groupby([*PAIR, "comparison"], sort=False)
    table = groups.agg(cells=("difference", "size"), difference=("difference", "mean"))
    return table.assign(**groups[list(VERDICTS)].sum()).reset_index()


def summaries(
    compared: Iterable[tuple[str, pd.DataFrame]], write: Callable[[tuple[str, pd.DataFrame]], None]
) -> pd.DataFrame:
    """Pass each table of `compare` to `write`, and return the summary of all; only one table is held at a time."""
    found = []
    for sender, table in compared:
        write((sender, table))
        found.append(summarise(table))
    return pd.concat(found, ignore_index=True)


def mcnemar(only_one: np.ndarray, only_other: np.ndarray) -> np.ndarray:
    """Exact two-sided p for two cells being right equally often, from the images that only one of them gets right.

    Under the null hypothesis each of these images is as likely to be the one's as the other's (McNemar 1947; binomial,
    not chi-squared). This is the permutation test that swaps the two cells' outcomes of an image at random.
    """
    discordant = only_one + only_other
    return (2 * bdtr(np.minimum(only_one, only_other), discordant, 0.5)).clip(max=1)


def holm(p: np.ndarray | pd.Series) -> np.ndarray:
    """Holm's (1979) correction of the p of a family of tests, (T,): it bounds the chance of any false rejection."""
    values = np.asarray(p, float)
    order = np.argsort(values)
    corrected = np.empty_like(values)
    corrected[order] = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)).clip(max=1)
    return corrected


def _comparisons(cells: pd.DataFrame) -> Iterator[tuple[str, pd.Series, dict[str, object]]]:
    """Each comparison's name, the cells it applies to (bool), and how the other cell differs in `CELL`."""
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
    """Rows of the cells of a comparison (`row`) and of the different cells that they are compared with (`other`)."""
    known = cells[list(CELL)].assign(other=np.arange(len(cells)))
    wanted = cells.assign(row=np.arange(len(cells)), **changes)[chosen & cells.own]
    found = wanted[["row", *CELL]].merge(known, on=list(CELL), validate="many_to_one")
    return found.loc[found.row != found.other, ["row", "other"]].assign(comparison=comparison)
