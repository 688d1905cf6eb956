"""Figure of one ordered pair: its matrix, with the accuracy in each cell and the names of the layers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.patches import Circle, Rectangle

from modelstitch.analysis.comparisons import CORRESPONDING, UNDECIDED
from modelstitch.analysis.controls import OVER_REMAPPED, with_excess
from modelstitch.analysis.matrices import PAIR
from modelstitch.config.stitches import REMAPPED, kind_of
from modelstitch.figures.canvas import (
    BAR_SPACE,
    FAILED,
    LEAST_BAR,
    LEGIBLE,
    canvas,
    draw_bar,
    ink_on,
    number,
    own_accuracy,
    rows_with,
    scale_of,
    short_name,
    stitches_of,
    write_accuracy,
)
from modelstitch.figures.paper import (
    INK,
    LABEL,
    MARGIN,
    NATURAL,
    SMALL,
    SOFT,
    Page,
    Paper,
    finish,
    plain,
    save,
    text_width,
    write_title,
)
from modelstitch.identifiers import NetworkId
from modelstitch.records import PairRecord

CELL, LARGEST = 0.46, 0.6  # inches, as all that follow: of a figure of its own size, and at most where it fills a paper
LETTER = 0.125  # a layer has its label where cells are as large as a line of text
DOT = 0.028  # radius of a mark
KEY_SPACE = 0.24  # for what the marks mean, below the colour scale
KEY_GAP = 0.26  # for a mark before its words
BESIDE = 0.62  # for what lies left of the layers' labels


@dataclass(frozen=True)
class Marks:
    """Which cells of a matrix are marked, as bool (rows, columns).

    Attributes:
        undecided: cells without a significant difference from the one they are compared with, which get a dot.
        reference: cells that others are compared with, which get a ring.
        words: the meaning of the dot and, if there are any, of the ring.
    """

    undecided: np.ndarray
    reference: np.ndarray
    words: tuple[str, ...]


def draw_record(record: PairRecord, colormap: str, paper: Paper = NATURAL) -> Page:
    """Draw the matrix of a record, whose networks may have any names."""
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
        paper=paper,
    )


def draw_pair(
    cells: pd.DataFrame,
    networks: pd.DataFrame,
    objective: str,
    sender: str,
    receiver: str,
    colormap: str,
    comparisons: pd.DataFrame | None = None,
    paper: Paper = NATURAL,
) -> Page:
    """Draw the matrix of one ordered pair of a study, with marks if the pair's cells were compared.

    Raises:
        ModelstitchError: if a table lacks the pair or one of its networks.
    """
    pair = rows_with(cells, objective=objective, sender=sender, receiver=receiver)
    if comparisons is not None:
        compared = (comparisons.objective == _compared(objective)) & (comparisons.sender == sender)
        comparisons = comparisons[compared & (comparisons.receiver == receiver)]
    return _draw(pair, networks, comparisons, colormap, paper)


def draw_all(
    cells: pd.DataFrame,
    networks: pd.DataFrame,
    comparisons: pd.DataFrame,
    folder: Path | str,
    colormap: str,
    formats: Sequence[str],
    paper: Paper = NATURAL,
    caption: str = "",
) -> None:
    """Draw every pair of the table into `<folder>/<objective>/<sender>/<receiver>.<format>`, and its excess.

    The excess, with the objective `OVER_REMAPPED`, is the task's accuracies less those on remapped labels.

    Raises:
        ModelstitchError: if a network is missing from its table, or a file can't be written.
    """
    compared = dict(list(comparisons.groupby(PAIR)))
    for (objective, sender, receiver), pair in with_excess(cells).groupby(PAIR, sort=False):
        paths = [Path(folder) / objective / sender / f"{receiver}.{kind}" for kind in formats]
        figure = _draw(pair, networks, compared.get((_compared(objective), sender, receiver)), colormap, paper)
        save(figure, paths, caption)


def _compared(objective: str) -> str:
    """The objective whose comparisons mark the matrix of this objective."""
    return "task" if objective == OVER_REMAPPED else objective


def _marks(
    comparisons: pd.DataFrame | None, objective: str, rows: Sequence[int], columns: Sequence[int]
) -> Marks | None:
    """The marks of one pair's matrix with these layers, from its comparisons; None if it has none."""
    if comparisons is None:
        return None
    over_remapped = objective == OVER_REMAPPED
    found = comparisons[comparisons.comparison.map(kind_of) == (REMAPPED if over_remapped else CORRESPONDING)]
    if found.empty:
        return None
    undecided = found[found.verdict == UNDECIDED]
    dots = set(zip(undecided.sender_layer, undecided.receiver_layer, strict=True))
    rings, words = set(), ("no significant difference from remapped labels",)
    if not over_remapped:
        rings = set(zip(found.other_sender_layer, found.receiver_layer, strict=True))
        words = ("no significant difference from the ring", "the corresponding layer")
    return Marks(*(np.array([[(i, j) in cells for j in columns] for i in rows]) for cells in (dots, rings)), words)


def _draw(
    cells: pd.DataFrame, networks: pd.DataFrame, comparisons: pd.DataFrame | None, colormap: str, paper: Paper
) -> Page:
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
        marks=_marks(comparisons, first.objective, *labels),
        paper=paper,
    )


@plain()
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
    marks: Marks | None = None,
    paper: Paper = NATURAL,
) -> Page:
    """Draw a matrix of accuracies (rows, columns) with its labels; NaN where there is no result.

    Args:
        values, diverged: accuracy of each cell, and whether it diverged.
        rows, columns: short names of the sender's and the receiver's layers, by index.
        title, subtitle: written above it.
        colormap: colours of accuracies from 0 to 1.
        scale: arguments `chance` and `words` of `draw_bar`.
        marks: cells to mark, and the meaning of the marks.
        paper: what it is drawn for; cells show numbers where these are legible.
    """
    row_labels = [f"{name}  {layer}".strip() for layer, name in rows.items()]
    column_labels = [f"{layer}  {name}".strip() for layer, name in columns.items()]
    beside, above = (max(text_width(name, SMALL) for name in names) for names in (row_labels, column_labels))
    left = BESIDE + beside
    cell = CELL if paper.room == math.inf else min(LARGEST, (paper.room - left - MARGIN) / values.shape[1])
    upright = above > cell - 0.1
    top = 1.2 + (above if upright else 0.12)
    across, down = cell * values.shape[1], cell * values.shape[0]
    room = min(max(across, LEAST_BAR), paper.room - left - MARGIN)
    key = _key_rows(marks, max(room, CELL * 6)) if marks else []
    right = left + max(room, *(_key_width(row) for row in key), 0)
    below = top + down + BAR_SPACE
    axes = canvas(right + MARGIN, below + KEY_SPACE * len(key))
    write_title(axes, title, subtitle)
    _draw_cells(axes, left, top, cell, values, diverged, colormap)
    style, every = {"size": SMALL, "color": SOFT}, math.ceil(LETTER / cell)
    for place, name in list(enumerate(row_labels))[::every]:
        axes.text(left - 0.07, top + cell * (place + 0.5), name, ha="right", va="center_baseline", **style)
    for place, name in list(enumerate(column_labels))[:: every if upright else 1]:
        turn = {"rotation": 90, "va": "bottom"} if upright else {"va": "baseline"}
        axes.text(left + cell * (place + 0.5), top - 0.07, name, ha="center", **turn, **style)
    words = {"size": LABEL, "color": SOFT, "ha": "center"}
    axes.text(left + across / 2, top - 0.17 - (above if upright else 0.12), "receiver layer", va="bottom", **words)
    axes.text(left - beside - 0.28, top + down / 2, "sender layer", va="center", rotation=90, **words)
    draw_bar(axes, left, top + down, room, colormap=colormap, **scale)
    if marks:
        _draw_marks(axes, left, top, cell, values, marks, colormap)
        _draw_key(axes, left, below, key)
    return finish(axes, paper)


def _draw_cells(
    axes: Axes, left: float, top: float, cell: float, values: np.ndarray, diverged: np.ndarray, colormap: str
) -> None:
    squares, colours = [], []
    for (row, column), value in np.ndenumerate(values):
        x, y = left + cell * column, top + cell * row
        if np.isnan(value):
            axes.add_patch(Rectangle((x, y), cell, cell, **FAILED))
        else:
            squares.append([(x, y), (x + cell, y), (x + cell, y + cell), (x, y + cell)])
            colours.append(colormaps[colormap](value))
        if cell >= LEGIBLE:
            write_accuracy(axes, x, y, cell, value, colormap, failure="div" if diverged[row, column] else "n/a")
    if squares:
        seams = 0.8 if cell >= LEGIBLE else 0.3
        axes.add_collection(PolyCollection(squares, facecolors=colours, edgecolors="white", linewidths=seams))


def _draw_marks(
    axes: Axes, left: float, top: float, cell: float, values: np.ndarray, marks: Marks, colormap: str
) -> None:
    corner = min(0.07, 0.25 * cell)
    for row, column in np.argwhere(marks.undecided | marks.reference):
        place = left + cell * (column + 1) - corner, top + cell * row + corner
        ink = ink_on(np.array(colormaps[colormap](values[row, column])))
        axes.add_patch(_mark(place, ink, bool(marks.undecided[row, column]), min(DOT, 0.4 * corner)))


def _key_rows(marks: Marks, room: float) -> list[list[tuple[str, bool]]]:
    """Rows of the key: each mark's meaning and whether it is filled; all in one row if there is room."""
    entries = list(zip(marks.words, (True, False), strict=False))
    return [entries] if _key_width(entries) <= room else [[entry] for entry in entries]


def _key_width(entries: Sequence[tuple[str, bool]]) -> float:
    return sum(KEY_GAP + text_width(words, SMALL) for words, _ in entries)


def _draw_key(axes: Axes, left: float, top: float, rows: Sequence[Sequence[tuple[str, bool]]]) -> None:
    for place, row in enumerate(rows):
        x, y = left, top + KEY_SPACE * place
        for words, filled in row:
            axes.add_patch(_mark((x + 0.06, y), INK, filled, DOT))
            axes.text(x + 0.14, y, words, size=SMALL, color=SOFT, va="center_baseline")
            x += KEY_GAP + text_width(words, SMALL)


def _mark(place: tuple[float, float], ink: str, filled: bool, radius: float) -> Circle:
    return Circle(place, radius, facecolor=ink if filled else "none", edgecolor=ink, linewidth=0.8, zorder=3)
