"""Intervals of each cell's accuracy: over test images, over seeds of networks, and over seeds of stitches."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtri, stdtrit

from modelstitch.analysis import tables
from modelstitch.analysis.cells import ORDER
from modelstitch.analysis.controls import CELL
from modelstitch.config.stitches import kind_of
from modelstitch.identifiers import NetworkId

CONFIDENCE = 0.95
IDS = (
    "objective",
    "sender",
    "sender_layer",
    "sender_layer_name",
    "receiver",
    "receiver_layer",
    "receiver_layer_name",
    "accuracy",
)
COUNTS = ("seeds", "pairs")
SUMMARY = ("mean", "std", "low", "high")
COLUMNS = (
    *IDS,
    "accuracy_low",
    "accuracy_high",
    "shared_start",
    *(f"network_{name}" for name in (*COUNTS, *SUMMARY)),
    *(f"stitch_{name}" for name in ("seeds", *SUMMARY)),
)


def uncertainty(cells: pd.DataFrame) -> pd.DataFrame:
    """95 % intervals for each cell of a cells table, in its order.

    - `accuracy_low` and `accuracy_high`: over test images, by `wilson`.
    - `network_...`: summary over pairs of network seeds, of cells of the same objective, architectures, recipes and
      layers; the interval is that of `over_networks`. Pairs of one architecture and one seed are summarised apart
      (`shared_start`), since two such networks began with the same weights.
    - `stitch_...`: summary over stitches from several seeds (`task`, `task-2`, ...), or over permutations of remapped
      labels, of cells of the same two networks; with Student's interval.

    Returns:
        `COLUMNS`. Counts are of cells with a result. An interval is NaN where there are too few seeds for one.
    """
    low, high = wilson(cells.accuracy.to_numpy(), cells.test_images.to_numpy())
    same = [cells[f"sender_{key}"] == cells[f"receiver_{key}"] for key in ("architecture", "seed")]
    table = cells.assign(
        accuracy_low=low, accuracy_high=high, shared_start=same[0] & same[1], kind=cells.objective.map(kind_of)
    )
    families = [*(key for key in CELL if not key.endswith("seed")), "shared_start"]
    networks = over_networks(table, families).add_prefix("network_")
    stitches = over_stitches(table, ["kind", *CELL[1:]]).add_prefix("stitch_")
    return pd.concat([table, networks, stitches], axis="columns")[list(COLUMNS)]


def by_sender(path: Path | str) -> Iterator[tuple[str, pd.DataFrame]]:
    """`uncertainty` of a cells table in a file, with the sender "", or of each sender's part of a folder."""
    if not Path(path).is_dir():
        yield "", uncertainty(tables.read(path))
        return
    # All seeds of a sender at once: intervals over networks are of all of them.
    for cells in tables.parts(path, lambda name: NetworkId.parse(name)[:2]):
        table = uncertainty(tables.in_order(cells, ORDER))
        yield from table.groupby("sender", sort=False)


def wilson(accuracy: np.ndarray, images: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
    """Low and high ends of Wilson's 95 % score interval for accuracies on a number of test images.

    Unlike the normal interval, it keeps its coverage for accuracies near 0 or 1 and for few images (Brown, Cai and
    DasGupta 2001).
    """
    z = ndtri((1 + CONFIDENCE) / 2)
    centre = (accuracy + z**2 / (2 * images)) / (1 + z**2 / images)
    half = z / (1 + z**2 / images) * np.sqrt(accuracy * (1 - accuracy) / images + z**2 / (4 * images**2))
    return (centre - half).clip(min=0), (centre + half).clip(max=1)


def over_networks(cells: pd.DataFrame, families: list[str]) -> pd.DataFrame:
    """Summary of each family's cells over pairs of network seeds, one row per cell.

    Pairs are not independent, since each network is in several. The standard error of the mean is therefore that of a
    jackknife which leaves out one seed with all its pairs, and the interval is Student's with one degree of freedom
    fewer than seeds (Arvesen 1969). Two seeds are enough for self-pairs and for pairs of two architectures; pairs of
    two seeds need three.

    Args:
        cells: `accuracy`, `sender_seed`, `receiver_seed`, and the columns `families`.
        families: columns whose values the cells of one family share.

    Returns:
        `COUNTS` and `SUMMARY`.
    """
    of_two = cells[cells.sender_seed != cells.receiver_seed]
    by_seed = pd.concat([cells.assign(seed=cells.sender_seed), of_two.assign(seed=of_two.receiver_seed)])
    table = cells.groupby(families, sort=False).accuracy.agg(pairs="count", total="sum", mean="mean", std="std")
    seeds = by_seed.groupby([*families, "seed"], sort=False).accuracy.agg(["count", "sum"]).join(table, on=families)
    left = seeds.pairs - seeds["count"]
    without = ((seeds.total - seeds["sum"]) / left).where((seeds["count"] > 0) & (left > 0))
    found = seeds.assign(seen=seeds["count"] > 0, without=without).groupby(level=families, sort=False)
    table = table.join(found.agg(seeds=("seen", "sum"), kept=("without", "count"), spread=("without", "std")))
    error = (table.spread * (table.seeds - 1) / np.sqrt(table.seeds)).where(table.kept == table.seeds)
    return _placed(_with_interval(table, error, table.seeds - 1)[[*COUNTS, *SUMMARY]], cells, families)


def over_stitches(cells: pd.DataFrame, families: list[str]) -> pd.DataFrame:
    """`seeds` and `SUMMARY` of each family's cells as independent values, with Student's interval, one row per cell."""
    table = cells.groupby(families, sort=False).accuracy.agg(["count", "mean", "std"])
    table = table.rename(columns={"count": "seeds"})
    return _placed(_with_interval(table, table["std"] / np.sqrt(table.seeds), table.seeds - 1), cells, families)


def _with_interval(table: pd.DataFrame, error: pd.Series, degrees: pd.Series) -> pd.DataFrame:
    """The table with Student's interval of its mean, from standard error and degrees of freedom; NaN like the error."""
    half = error * stdtrit(degrees.where(degrees > 0), (1 + CONFIDENCE) / 2)
    return table.assign(low=table["mean"] - half, high=table["mean"] + half)


def _placed(table: pd.DataFrame, cells: pd.DataFrame, families: list[str]) -> pd.DataFrame:
    """The row of its family for each cell; counts are 0 for a family without results."""
    placed = cells[families].join(table, on=families).drop(columns=families)
    counts = [name for name in COUNTS if name in placed]
    return placed.fillna(dict.fromkeys(counts, 0)).astype(dict.fromkeys(counts, "int64"))
