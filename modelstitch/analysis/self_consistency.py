"""Self-consistency of stitching (Balogh and Jelasity, AAAI 2025, arXiv 2412.11299), from the cells of self-pairs.

In a network that is stitched to itself, the best substitute for a layer is known: the layer itself. They found that
stitches for the task reach accuracies as high from other layers, so that accuracy does not tell which layers
correspond.
"""

from collections.abc import Iterator

import pandas as pd

from modelstitch.analysis.controls import with_excess
from modelstitch.analysis.tables import in_order
from modelstitch.config.stitches import is_control

ALL = "all"
COLUMNS = {
    "objective": "str",
    "recipe": "str",
    "network": "str",
    "networks": "int64",
    "cells": "int64",
    "as_accurate": "float64",
    "columns": "int64",
    "best_elsewhere": "float64",
}


def measure(cells: pd.DataFrame) -> pd.DataFrame:
    """How often another layer of a network does as well as its own, by objective, recipe and network.

    `as_accurate` is the share of cells (i, j) with i other than j whose accuracy is at least that of (j, j).
    `best_elsewhere` is the share of receiver layers j for which some cell (i, j) is more accurate than (j, j). The
    excess over remapped labels is one of the objectives; controls are not.

    Args:
        cells: the cells table.

    Returns:
        `COLUMNS`: a row for all networks of a recipe, with `network` = `all`, then one per network. Cells without a
        result are left out, and columns whose (j, j) has none. Without self-pairs there is no row.
    """
    own = cells[(cells.sender == cells.receiver) & ~cells.objective.map(is_control)]
    own = with_excess(own).rename(columns={"sender_recipe": "recipe", "sender": "network"})
    keys = ["objective", "recipe", "network", "receiver_layer"]
    same = own[own.sender_layer == own.receiver_layer].set_index(keys).accuracy.rename("own")
    others = own[own.sender_layer != own.receiver_layer].join(same, on=keys).dropna(subset=["accuracy", "own"])
    rows = [*_rows(others.assign(network=ALL), others), *_rows(others, others)] if len(others) else []
    return in_order(pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS), ["objective", "recipe"])


def _rows(named: pd.DataFrame, others: pd.DataFrame) -> Iterator[dict[str, object]]:
    """A row for each name that the cells have in `named`: their network's, or `all`."""
    for key, found in named.groupby(["objective", "recipe", "network"], sort=False):
        found = found.assign(network=others.network)
        margin = (found.accuracy - found.own).round(9)  # equal ones stay equal
        best = margin.groupby([found.network, found.receiver_layer]).max()
        yield dict(zip(("objective", "recipe", "network"), key, strict=True)) | {
            "networks": found.network.nunique(),
            "cells": len(found),
            "as_accurate": (margin >= 0).mean(),
            "columns": len(best),
            "best_elsewhere": (best > 0).mean(),
        }
