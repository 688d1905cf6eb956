"""Picture of one ordered pair: its matrix, each cell with its accuracy, and the names of the layers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from modelstitch.analysis.controls import with_excess
from modelstitch.analysis.matrices import PAIR
from modelstitch.figures.canvas import (
    BAR_SPACE,
    FAILED,
    LABEL,
    LEAST_BAR,
    MARGIN,
    SMALL,
    SOFT,
    TITLE,
    canvas,
    draw_bar,
    number,
    own_accuracy,
    rows_with,
    save,
    scale_of,
    short_name,
    stitches_of,
    text_width,
    write_accuracy,
    write_title,
)
from modelstitch.identifiers import NetworkId
from modelstitch.records import PairRecord

CELL = 0.46  # inches, as all that follow


def draw_record(record: PairRecord, colormap: str) -> Figure:
    """The picture of a record, whatever its networks are called."""
    about = record.attributes
    rows, columns = record.columns[0].sender_layers, [column.receiver_layer for column in record.columns]
    values = np.stack([column.test_accuracy for column in record.columns], axis=1)
    diverged = np.stack([column.diverged for column in record.columns], axis=1)
    own = " → ".join(number(about[f"{role}_accuracy"]) for role in ("sender", "receiver"))
    return draw(
        values,
        diverged,
        {layer: short_name(layer, record.sender.names) for layer in rows},
        {layer: short_name(layer, record.receiver.names) for layer in columns},
        title=f"{about['sender']} → {about['receiver']}",
        subtitle=f"{stitches_of(about['objective'])} · the networks alone: {own}",
        colormap=colormap,
        scale={"chance": None, "words": "test accuracy"},
    )


def draw_pair(
    cells: pd.DataFrame, networks: pd.DataFrame, objective: str, sender: str, receiver: str, colormap: str
) -> Figure:
    """The matrix of one ordered pair of a study.

    Raises:
        ModelstitchError: if a table lacks the pair or one of its networks.
    """
    return _draw(rows_with(cells, objective=objective, sender=sender, receiver=receiver), networks, colormap)


def draw_all(
    cells: pd.DataFrame, networks: pd.DataFrame, folder: Path | str, colormap: str, formats: Sequence[str]
) -> None:
    """Draw every pair of the table into `<folder>/<objective>/<sender>/<receiver>.<format>`, and its excess.

    That is the task's accuracies less those on remapped labels, `OVER_REMAPPED` its objective.

    Raises:
        ModelstitchError: if a network is missing from its table, or a file can't be written.
    """
    for (objective, sender, receiver), pair in with_excess(cells).groupby(PAIR, sort=False):
        paths = [Path(folder) / objective / sender / f"{receiver}.{kind}" for kind in formats]
        save(_draw(pair, networks, colormap), paths)


def _draw(cells: pd.DataFrame, networks: pd.DataFrame, colormap: str) -> Figure:
    first = cells.iloc[0]
    with_seed = networks.seed.nunique() > 1
    names, own, labels = [], [], []
    for role in ("sender", "receiver"):
        network = NetworkId.parse(first[role])
        seed = f" s{network.seed}" if with_seed else ""
        names.append(f"{network.architecture}{seed} {network.recipe}")
        own.append(number(own_accuracy(networks, first[role])))
        layers = cells.drop_duplicates(f"{role}_layer").set_index(f"{role}_layer").sort_index()
        all_names = dict(layers[f"{role}_layer_name"])
        labels.append({layer: short_name(layer, all_names) for layer in all_names})
    values, diverged = (
        cells.pivot(index="sender_layer", columns="receiver_layer", values=value).to_numpy()
        for value in ("accuracy", "diverged")
    )
    return draw(
        values,
        diverged,
        *labels,
        title=" → ".join(names),
        subtitle=f"{stitches_of(first.objective)} · the networks alone: {' → '.join(own)}",
        colormap=colormap,
        scale=scale_of(first.objective, networks),
    )


def draw(
    values: np.ndarray,
    diverged: np.ndarray,
    rows: Mapping[int, str],
    columns: Mapping[int, str],
    *,
    title: str,
    subtitle: str,
    colormap: str,
    scale: Mapping[str, Any],
) -> Figure:
    """A matrix of accuracies (rows, columns), NaN where there is no result, with its labels.

    Args:
        values, diverged: of the cells.
        rows, columns: names of the sender's and the receiver's layers by index, short ones.
        title, subtitle: above it.
        colormap: of the accuracies, from 0 to 1.
        scale: of the colours: `chance` and `words` of `draw_bar`.
    """
    row_labels = [f"{name}  {layer}".strip() for layer, name in rows.items()]
    column_labels = [f"{layer}  {name}".strip() for layer, name in columns.items()]
    beside, above = (max(text_width(name, SMALL) for name in names) for names in (row_labels, column_labels))
    upright = above > CELL - 0.1
    left, top = 0.62 + beside, 1.2 + (above if upright else 0.12)
    across, down = CELL * values.shape[1], CELL * values.shape[0]
    widest = max(text_width(title, TITLE, "bold"), text_width(subtitle, LABEL))
    right = max(left + max(across, LEAST_BAR), MARGIN + widest)
    axes = canvas(right + MARGIN, top + down + BAR_SPACE)
    write_title(axes, title, subtitle)
    _draw_cells(axes, left, top, values, diverged, colormap)
    style = {"size": SMALL, "color": SOFT}
    for place, name in enumerate(row_labels):
        axes.text(left - 0.07, top + CELL * (place + 0.5), name, ha="right", va="center_baseline", **style)
    for place, name in enumerate(column_labels):
        turn = {"rotation": 90, "va": "bottom"} if upright else {"va": "baseline"}
        axes.text(left + CELL * (place + 0.5), top - 0.07, name, ha="center", **turn, **style)
    words = {"size": LABEL, "color": SOFT, "ha": "center"}
    axes.text(left + across / 2, top - 0.17 - (above if upright else 0.12), "receiver layer", va="bottom", **words)
    axes.text(left - beside - 0.28, top + down / 2, "sender layer", va="center", rotation=90, **words)
    draw_bar(axes, left, top + down, max(across, LEAST_BAR), colormap=colormap, **scale)
    return axes.figure


def _draw_cells(axes: Axes, left: float, top: float, values: np.ndarray, diverged: np.ndarray, colormap: str) -> None:
    squares, colours = [], []
    for (row, column), value in np.ndenumerate(values):
        x, y = left + CELL * column, top + CELL * row
        if np.isnan(value):
            axes.add_patch(Rectangle((x, y), CELL, CELL, **FAILED))
        else:
            squares.append([(x, y), (x + CELL, y), (x + CELL, y + CELL), (x, y + CELL)])
            colours.append(colormaps[colormap](value))
        write_accuracy(axes, x, y, CELL, value, colormap, failure="div" if diverged[row, column] else "n/a")
    if squares:
        axes.add_collection(PolyCollection(squares, facecolors=colours, edgecolors="white", linewidths=0.8))
