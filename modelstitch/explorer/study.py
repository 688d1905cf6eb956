"""The data of the page: networks, pairs, every measure of every cell, and the tables without cells."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.colors import to_hex

from modelstitch.analysis.cells import ROLES
from modelstitch.analysis.matrices import PAIR
from modelstitch.explorer import measures, orders
from modelstitch.explorer.numbers import rounded
from modelstitch.figures import palette
from modelstitch.figures.canvas import chance_of, short_name
from modelstitch.figures.words import measure_words

LONGEST = 2000  # rows of a table that the page shows; a longer one is named
COLOURS = 33  # of a scale
DIVERGING = "PuOr_r"  # seen alike by readers who don't see all colours


def gather(
    name: str,
    tables: Mapping[str, pd.DataFrame],
    objectives: Mapping[str, Any],
    classes: Sequence[str],
    colormap: str,
) -> dict[str, Any]:
    """Everything that the page holds except details of single cells, ready for JSON.

    Args:
        name: name of the study.
        tables: the study's tables by name; `cells` and `networks` are required.
        objectives: settings and the like of each objective, by its name.
        classes: names of the data set's classes.
        colormap: colour map of the study's figures.
    """
    cells, networks = tables["cells"], tables["networks"]
    others = {key: table for key, table in tables.items() if key not in ("cells", "networks")}
    of_cells = {key: table for key, table in others.items() if measures.has_cells(key, table)}
    pairs, places = _grids(cells)
    found = _measures(measures.join(cells, of_cells), places)
    return {
        "study": name,
        "chance": chance_of(networks),
        "classes": list(classes),
        "networks": _networks(cells, networks),
        "objectives": objectives,
        "orders": {key: orders.of_objective(rows) for key, rows in cells.groupby("objective", sort=False)},
        "pairs": pairs,
        "measures": found,
        "words": _words([*found, *others.get("verdicts", {"measure": []})["measure"]]),
        "tables": {
            key: _table(table) for key, table in {"networks": networks, **others}.items() if key not in of_cells
        },
        "colours": {"scale": _colours(colormap), "difference": _colours(DIVERGING), "recipes": palette.by_recipes()},
    }


def _networks(cells: pd.DataFrame, networks: pd.DataFrame) -> list[dict[str, Any]]:
    """The row of each network in its table, with the names of its layers by index."""
    layers: dict[str, dict[int, str]] = {}
    counts: dict[str, int] = {}
    for role in ROLES:
        columns = [role, f"{role}_layer", f"{role}_layer_name", f"{role}_layer_count"]
        for network, layer, layer_name, count in cells[columns].drop_duplicates().itertuples(index=False):
            layers.setdefault(network, {})[layer], counts[network] = layer_name, count
    return [
        {
            **_plain(row),
            "layer_count": counts.get(row["network"], 0),
            "layers": {
                layer: [own, short_name(layer, {key: one for key, one in named.items() if key >= 0})]
                for named in [layers.get(row["network"], {})]
                for layer, own in sorted(named.items())
            },
        }
        for row in networks.to_dict("records")
    ]


def _grids(cells: pd.DataFrame) -> tuple[list[dict[str, Any]], np.ndarray]:
    """The layers of each pair and the place of its first cell; and the place of each row of the table.

    The cells of a pair have consecutive places, row by row (rows are sender layers); some places may have no cell.
    """
    pairs, places, start = [], np.zeros(len(cells), int), 0
    for pair, at in cells.groupby(PAIR, sort=False).indices.items():
        rows, row = np.unique(cells.sender_layer.to_numpy()[at], return_inverse=True)
        columns, column = np.unique(cells.receiver_layer.to_numpy()[at], return_inverse=True)
        places[at] = start + row * len(columns) + column
        layers = {"rows": rows.tolist(), "columns": columns.tolist()}
        pairs.append({**dict(zip(PAIR, pair, strict=True)), **layers, "start": start})
        start += len(rows) * len(columns)
    return pairs, places


def _measures(joined: pd.DataFrame, places: np.ndarray) -> dict[str, Any]:
    """The values of every column that has any, by place: numbers, or indices into `words`."""
    size = int(places.max(initial=-1)) + 1
    found: dict[str, Any] = {}
    for name in joined.columns.drop(measures.CELL):
        column = joined[name]
        if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
            words = column.astype("str").where(column.notna() & (column.astype("str") != ""))
            codes, levels = pd.factorize(words)
            values = np.full(size, -1)
            values[places] = codes
            if len(levels):
                found[name] = {"words": levels.tolist(), "values": values.tolist()}
        elif column.notna().any():
            values = np.full(size, np.nan)
            values[places] = column.astype(float)
            found[name] = {"values": rounded(values)}
    return found


def _words(names: Iterable[str]) -> dict[str, str]:
    """Names of measures in words, where these differ from the column's name without underscores."""
    named = {name: measure_words(name) for name in names}
    return {name: words for name, words in named.items() if words != name.replace("_", " ")}


def _table(table: pd.DataFrame) -> dict[str, Any]:
    """Columns and rows of a table; rows are None where there are too many to show."""
    rows = [list(_plain(row).values()) for row in table.to_dict("records")] if len(table) <= LONGEST else None
    return {"columns": list(table.columns), "rows": rows, "length": len(table)}


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row for JSON: None where there is no value."""
    return {
        key: None
        if pd.isna(value)
        else rounded([value])[0]
        if isinstance(value, float)
        else value.item()
        if isinstance(value, np.generic)
        else value
        for key, value in row.items()
    }


def _colours(colormap: str) -> list[str]:
    return [to_hex(colour) for colour in colormaps[colormap](np.linspace(0, 1, COLOURS))]
