"""All measures of a cell as columns of one table, from every table that has rows of cells."""

from collections.abc import Iterator, Mapping

import pandas as pd

from modelstitch.analysis.cells import ROLES
from modelstitch.analysis.controls import OVER_REMAPPED
from modelstitch.config.stitches import is_control

LAYERS = ["sender", "receiver", "sender_layer", "receiver_layer"]
CELL = ["objective", *LAYERS]
# What a table is keyed by beside the cell.
SEVERAL = {
    "comparisons": ["comparison"],
    "capacity": ["family"],
    "training_budget_cells": ["epochs", "start"],
}
# Tables that name some cells, and measure none.
LISTS = ("failures", "statistical_disagreement")
DEPTHS = [f"{role}_{depth}" for role in ROLES for depth in ("depth", "operations_depth")]
OF_NETWORKS = [
    f"{role}_{key}" for role in ROLES for key in ("architecture", "recipe", "seed", "layer_name", "layer_count")
]
# What other columns tell.
REPEATED = ("other_accuracy", "other_sender_layer", "p")
FIRST = ["accuracy", "relative_accuracy", "train_accuracy", "test_loss", "train_loss", "agreement"]


def has_cells(name: str, table: pd.DataFrame) -> bool:
    """Whether a table has at most one row per cell, or per cell and the key that `SEVERAL` names."""
    if name in LISTS or not set(LAYERS) <= set(table):
        return False
    return not table.duplicated([key for key in [*CELL, *SEVERAL.get(name, [])] if key in table]).any()


def join(cells: pd.DataFrame, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The cells table, joined with the columns of the other tables as `<table>.<column>`.

    A table without a column `objective` applies to every objective that is no control. `remapped_accuracy` is the mean
    on remapped labels, `depth_difference` the sender's relative depth less the receiver's.
    """
    kept = [column for column in cells if column not in (*CELL, *OF_NETWORKS, *DEPTHS, *FIRST)]
    joined = cells[[*CELL, *FIRST, *kept]].copy()
    joined.insert(len(CELL) + 2, "remapped_accuracy", cells.accuracy - cells[OVER_REMAPPED])
    joined[[*DEPTHS]] = cells[DEPTHS]
    joined["depth_difference"] = cells.sender_depth - cells.receiver_depth
    found = [joined]
    for name, table in tables.items():
        keys = [key for key in CELL if key in table]
        wanted = pd.MultiIndex.from_frame(joined[keys])
        known = {*joined, *OF_NETWORKS, *REPEATED, *SEVERAL.get(name, [])}
        measured = [column for column in table if column not in known]
        for words, rows in _parts(name, table):
            columns = rows.set_index(keys)[measured].reindex(wanted)
            columns.index = joined.index
            if "objective" not in keys:
                columns = columns[~joined.objective.map(is_control)].reindex(joined.index)
            columns.columns = [f"{name}.{column}{words}" for column in measured]
            found.append(columns)
    return pd.concat(found, axis="columns")


def _parts(name: str, table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Split a table by its key beside the cell (`SEVERAL`): the key in words, and its rows."""
    if name not in SEVERAL:
        yield "", table
        return
    for key, rows in table.groupby(SEVERAL[name], sort=False):
        yield f" ({', '.join(map(str, key))})", rows
