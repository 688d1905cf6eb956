"""Picture of the matrices of some pairs as the training of their stitches grows, from two starts."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from modelstitch.figures.canvas import (
    BAR_SPACE,
    HEADING,
    INK,
    LABEL,
    LEGIBLE,
    MARGIN,
    SMALL,
    SOFT,
    canvas,
    chance_of,
    draw_bar,
    draw_matrix,
    number,
    open_panel,
    pair_name,
    panel,
    plain,
    rows_with,
    text_width,
    write_accuracy,
    write_title,
)
from modelstitch.measures.training_budget import PAIR

CELL, LARGEST = 0.36, 2.4  # inches, as all that follow: a cell, a matrix
LEFT, ABOVE, GAP = 0.75, 0.42, 0.3  # room left of a pair's matrices, above each of them, and between them
CURVES, BESIDE, UNDER = 3.1, 0.75, 1.1  # width of the curves, room left of them, and below for their legend
COLOURS = ("#0969da", "#bc4c00")  # of the two starts
SIDES = {"below": ("-", "at or below the diagonal"), "above": ("--", "above it")}


@plain()
def draw(cells: pd.DataFrame, summary: pd.DataFrame, networks: pd.DataFrame, colormap: str) -> Figure:
    """For each objective and pair a row of matrices per start, by epochs, and the triangle's two means by epochs.

    Args:
        cells, summary: as `measures.training_budget` gives them.
        networks: the networks table.

    Raises:
        ModelstitchError: if a network is missing from its table.
    """
    pairs = cells.groupby(PAIR, sort=False)
    rows, columns = (int(pairs[f"{role}_layer"].nunique().max()) for role in ("sender", "receiver"))
    cell = min(CELL, LARGEST / max(rows, columns))
    pitch = max(cell * columns, text_width("mean .00, difference .00", SMALL)) + GAP
    left, top, step = MARGIN + LEFT, 0.8, ABOVE + cell * rows
    curves = left + cells.epochs.nunique() * pitch - GAP + BESIDE
    height = 0.45 + max(2 * step, 1.2 + UNDER)
    bottom = top + len(pairs) * (height + GAP) - GAP
    axes = canvas(curves + CURVES + MARGIN, bottom + BAR_SPACE)
    subtitle = "stitches from two starts · rows: sender layers, columns: receiver layers"
    write_title(axes, "The matrix as its training grows", subtitle)
    for place, (key, pair) in enumerate(pairs):
        upper = top + place * (height + GAP)
        _write_pair(axes, upper + 0.2, *key, networks)
        numbers = rows_with(summary, **dict(zip(PAIR, key, strict=True)))
        for row, (start, budgets) in enumerate(pair.groupby("start")):
            y = upper + 0.45 + row * step + ABOVE
            words = {"size": LABEL, "color": INK, "ha": "center", "va": "center", "rotation": 90}
            axes.text(MARGIN + 0.3, y + cell * rows / 2, f"{start}\nstart", **words)
            for column, (epochs, matrix) in enumerate(budgets.groupby("epochs")):
                x = left + column * pitch
                _draw_matrix(axes, x, y, matrix, cell, colormap)
                about = rows_with(numbers, start=start, epochs=epochs).iloc[0]
                text = f"mean {number(about.accuracy)}, difference {number(about['difference'])}"
                axes.text(x, y - 0.21, text, size=SMALL, color=SOFT, va="baseline")
                if row == 0:
                    heading = f"{epochs:g} epoch{'s' * (epochs != 1)}"
                    axes.text(x, y - ABOVE, heading, size=HEADING, color=INK, va="baseline")
        _draw_curves(axes, curves, upper + 0.45, height - 0.45 - UNDER, numbers)
    draw_bar(axes, left, bottom, 3 * pitch, chance_of(networks), colormap, bool(cells.accuracy.isna().any()))
    return axes.figure


def _write_pair(
    axes: Axes, baseline: float, objective: str, sender: str, receiver: str, networks: pd.DataFrame
) -> None:
    name = f"{objective}: {pair_name(sender, receiver, networks.seed.nunique() > 1)}"
    own = " → ".join(number(rows_with(networks, network=network).accuracy.iloc[0]) for network in (sender, receiver))
    axes.text(MARGIN, baseline, name, size=HEADING, color=INK, weight="bold", va="baseline")
    after = MARGIN + text_width(name, HEADING, "bold") + 0.15
    axes.text(after, baseline, f"the networks alone: {own}", size=SMALL, color=SOFT, va="baseline")


def _draw_matrix(axes: Axes, left: float, top: float, cells: pd.DataFrame, cell: float, colormap: str) -> None:
    matrix = cells.pivot(index="sender_layer", columns="receiver_layer", values="accuracy")
    rows, columns = matrix.shape
    right, bottom = left + cell * columns, top + cell * rows
    draw_matrix(axes, matrix.to_numpy(), left, top, cell * columns, cell * rows, colormap)
    style = {"size": 6.5, "color": SOFT}
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


def _draw_curves(axes: Axes, left: float, top: float, height: float, summary: pd.DataFrame) -> None:
    """Mean accuracy at or below the diagonal and above it, by epochs, one colour per start; `left` as words."""
    plot = panel(axes, left, top, CURVES, height)
    handles = [Line2D([], [], color=SOFT, linestyle=dashes, label=words) for dashes, words in SIDES.values()]
    for (start, rows), colour in zip(summary.groupby("start"), COLOURS, strict=True):
        rows = rows.sort_values("epochs")
        for side, (dashes, _) in SIDES.items():
            plot.plot(
                rows.epochs, rows[side], color=colour, linestyle=dashes, linewidth=1.4, marker="o", markersize=3.5
            )
        first, last = rows["difference"].iloc[[0, -1]]
        words = f"{start}: difference {number(first)} to {number(last)}, {number(rows.left.iloc[-1])} left"
        handles.append(Line2D([], [], color=colour, marker="o", markersize=3.5, label=words))
    ticks = sorted(summary.epochs.unique())
    plot.set_xscale("log")
    plot.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    plot.set_xticks([], minor=True)
    plot.set(xlim=(ticks[0] / 1.25, ticks[-1] * 1.25), ylim=(0, 1))
    plot.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1], ["0", ".2", ".4", ".6", ".8", "1"])
    open_panel(plot, length=3)
    plot.grid(axis="y", color="#e6e8eb", linewidth=0.6)
    plot.set_xlabel("epochs", size=LABEL, color=SOFT)
    plot.set_ylabel("mean accuracy", size=LABEL, color=SOFT)
    place = {"loc": "upper left", "bbox_to_anchor": (0, -0.46 / height), "borderaxespad": 0, "borderpad": 0}
    plot.legend(handles=handles, frameon=False, fontsize=SMALL, labelcolor=SOFT, labelspacing=0.3, **place)
