"""Figure of some pairs' matrices as their stitches are trained for more epochs, from two starts."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from modelstitch.figures.canvas import (
    BAR_SPACE,
    GUIDE,
    LEAST_BAR,
    LEGIBLE,
    LINE,
    arranged,
    canvas,
    chance_of,
    draw_bar,
    draw_matrix,
    key_width,
    number,
    open_panel,
    pair_name,
    panel,
    rows_with,
    space_ticks,
    unit_axis,
    write_accuracy,
    write_key,
)
from modelstitch.figures.palette import ROLES
from modelstitch.figures.paper import (
    HEADING,
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
    text_width,
    write_title,
)
from modelstitch.measures.training_budget import PAIR

CELL, LARGEST, LETTER = 0.36, 2.4, 0.125  # inches, as all that follow: a cell, a matrix, a line of text
LEFT, ABOVE, GAP = 0.75, 0.72, 0.3  # room left of a pair's matrices, above each of them, and between them
CURVES, HEIGHT, BESIDE = 3.1, 2.2, 0.75  # size of the curves, and room left of them
CURVE = {"linewidth": 1.4, "marker": "o", "markersize": 3.5}
SIDES = {"below": ("-", "at or below the diagonal"), "above": ("--", "above it")}


@plain()
def draw(
    cells: pd.DataFrame, summary: pd.DataFrame, networks: pd.DataFrame, colormap: str, paper: Paper = NATURAL
) -> Page:
    """Draw for each objective and pair a row of matrices per start, by epochs, and curves of the triangle's two means.

    Args:
        cells, summary: the tables of `measures.training_budget`.
        networks: the networks table.
        colormap: of the accuracies.
        paper: what it is drawn for: where it is too narrow for them, the curves stand below the matrices.

    Raises:
        ModelstitchError: if a network is missing from its table.
    """
    pairs = cells.groupby(PAIR, sort=False)
    rows, columns = (int(pairs[f"{role}_layer"].nunique().max()) for role in ("sender", "receiver"))
    cell = min(CELL, LARGEST / max(rows, columns))
    least, epochs = text_width("difference 0.00", SMALL), cells.epochs.nunique()
    left, top = MARGIN + LEFT, 0.8
    across, wide = arranged(epochs, paper.room - left - MARGIN, least, max(cell * columns, least), GAP)
    cell = min(cell, wide / columns)
    pitch, step, lines = wide + GAP, ABOVE + cell * rows, -(-epochs // across)
    curves = left + across * pitch - GAP + BESIDE
    beside = curves + CURVES + MARGIN <= paper.room
    matrices = 2 * lines * step
    under = 0.2 + 0.62 + LINE * 4  # their axis and their key
    height = 0.45 + (max(matrices, HEIGHT + under) if beside else matrices + 0.4 + HEIGHT + under)
    bottom = top + len(pairs) * (height + GAP) - GAP
    width = min(CURVES, paper.room - left - MARGIN)
    wordy = max(key_width(words) for _, numbers in summary.groupby(PAIR) for words in _key(numbers))
    right = curves + max(CURVES, wordy) if beside else max(left + across * pitch - GAP, left + width)
    axes = canvas(right + MARGIN, bottom + BAR_SPACE)
    subtitle = "stitches from two starts · rows: sender layers, columns: receiver layers"
    write_title(axes, "The matrix as its training grows", subtitle)
    for place, (key, pair) in enumerate(pairs):
        upper = top + place * (height + GAP)
        _write_pair(axes, upper + 0.2, right, *key, networks)
        numbers = rows_with(summary, **dict(zip(PAIR, key, strict=True)))
        for row, (start, budgets) in enumerate(pair.groupby("start")):
            for column, (count, matrix) in enumerate(budgets.groupby("epochs")):
                x = left + column % across * pitch
                y = upper + 0.45 + (row * lines + column // across) * step + ABOVE
                if column % across == 0:
                    words = {"size": LABEL, "color": INK, "ha": "center", "va": "center", "rotation": 90}
                    axes.text(MARGIN + 0.3, y + cell * rows / 2, f"{start}\nstart", **words)
                _draw_matrix(axes, x, y, matrix, cell, colormap)
                about = rows_with(numbers, start=start, epochs=count).iloc[0]
                heading = f"{count:g} epoch{'s' * (count != 1)}"
                axes.text(x, y - 0.49, heading, size=LABEL, color=INK, va="baseline")
                for up, name in ((0.35, "accuracy"), (0.21, "difference")):
                    words = f"{'mean' if name == 'accuracy' else name} {number(about[name])}"
                    axes.text(x, y - up, words, size=SMALL, color=SOFT, va="baseline")
        x, y = (curves, upper + 0.45 + 0.2) if beside else (left, upper + 0.45 + matrices + 0.4)
        _draw_curves(axes, x, y, width, numbers)
        _write_curves(axes, x if beside else MARGIN, y + HEIGHT + 0.62, numbers)
    length = max(LEAST_BAR, min(3, across) * pitch - GAP)
    draw_bar(axes, left, bottom, length, chance_of(networks), colormap, bool(cells.accuracy.isna().any()))
    return finish(axes, paper)


def _write_pair(
    axes: Axes, baseline: float, right: float, objective: str, sender: str, receiver: str, networks: pd.DataFrame
) -> None:
    name = f"{objective}: {pair_name(sender, receiver, networks.seed.nunique() > 1)}"
    own = " → ".join(number(rows_with(networks, network=network).accuracy.iloc[0]) for network in (sender, receiver))
    axes.text(MARGIN, baseline, name, size=HEADING, color=INK, weight="bold", va="baseline")
    after, words = MARGIN + text_width(name, HEADING, "bold") + 0.15, f"the networks alone: {own}"
    if after + text_width(words, SMALL) > right:
        after, baseline = MARGIN, baseline + 0.18
    axes.text(after, baseline, words, size=SMALL, color=SOFT, va="baseline")


def _draw_matrix(axes: Axes, left: float, top: float, cells: pd.DataFrame, cell: float, colormap: str) -> None:
    matrix = cells.pivot(index="sender_layer", columns="receiver_layer", values="accuracy")
    rows, columns = matrix.shape
    right, bottom = left + cell * columns, top + cell * rows
    draw_matrix(axes, matrix.to_numpy(), left, top, cell * columns, cell * rows, colormap)
    if cell < LETTER:  # there is no room for the layers' numbers
        return
    style = {"size": SMALL, "color": SOFT}
    for row, layer in enumerate(matrix.index):
        axes.text(left - 0.06, top + cell * (row + 0.5), str(layer), ha="right", va="center_baseline", **style)
    for column, layer in enumerate(matrix.columns):
        axes.text(left + cell * (column + 0.5), top - 0.05, str(layer), ha="center", va="baseline", **style)
    if cell < LEGIBLE:
        return
    seams = {"colors": "white", "linewidth": 0.8}
    axes.vlines(left + cell * np.arange(1, columns), top, bottom, **seams)
    axes.hlines(top + cell * np.arange(1, rows), left, right, **seams)
    for (row, column), value in np.ndenumerate(matrix.to_numpy()):
        write_accuracy(axes, left + cell * column, top + cell * row, cell, value, colormap)


def _draw_curves(axes: Axes, left: float, top: float, width: float, summary: pd.DataFrame) -> None:
    """Draw the mean accuracies at or below the diagonal and above it by epochs, one colour per start."""
    plot = panel(axes, left, top, width, HEIGHT)
    for start, rows in summary.groupby("start"):
        rows = rows.sort_values("epochs")
        for side, (dashes, _) in SIDES.items():
            plot.plot(rows.epochs, rows[side], color=ROLES[start], linestyle=dashes, **CURVE)
    ticks = sorted(summary.epochs.unique())
    plot.set_xscale("log")
    plot.set(xlim=(ticks[0] / 1.25, ticks[-1] * 1.25), ylim=(0, 1))
    plot.set_xticks(ticks)
    space_ticks(plot, width)
    unit_axis(plot.yaxis)
    open_panel(plot, length=3)
    plot.grid(axis="y", **GUIDE)
    plot.set_xlabel("epochs", size=LABEL, color=SOFT)
    plot.set_ylabel("mean accuracy", size=LABEL, color=SOFT)


def _write_curves(axes: Axes, left: float, top: float, summary: pd.DataFrame) -> None:
    write_key(axes, left, top, _key(summary), 0)


def _key(summary: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The key of the curves, with the difference of the two sides after the fewest and after the most epochs."""
    key = {words: {"color": SOFT, "linestyle": dashes, "linewidth": 1.4} for dashes, words in SIDES.values()}
    for start, rows in summary.groupby("start"):
        rows = rows.sort_values("epochs")
        first, last = rows["difference"].iloc[[0, -1]]
        share = f" ({number(rows.left.iloc[-1])} of the first)" if rows.left.notna().iloc[-1] else ""
        key[f"{start} start: difference from {number(first)} to {number(last)}{share}"] = {
            "color": ROLES[start],
            **CURVE,
        }
    return key
