"""Figure of statistical similarity of two layers against the accuracy of the stitch between them."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from modelstitch.analysis.agreement import INDICES, PAIR, calibrated_column, correlation, joined, most_different
from modelstitch.figures.canvas import BAR_HEIGHT, arranged, canvas, number, open_panel, panel, rows_with, unit_axis
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
    wrapped,
    write_title,
)

PANEL, LEAST, GAP = 1.62, 1.4, 0.25  # inches, as all that follow
LEFT, TOP, ABOVE, BELOW = 0.68, 1.25, 0.3, 0.68
BAR = 1.6


@plain()
def draw(
    similarities: pd.DataFrame, cells: pd.DataFrame, objective: str, colormap: str, paper: Paper = NATURAL
) -> Page:
    """Draw accuracy against each calibrated index: one dot per cell, one row of panels for each two recipes.

    Args:
        similarities: what `measures.statistical_similarity` returns.
        cells: the cells table.
        objective: the objective whose accuracies are shown.
        colormap: colours of the receiver's relative depth.
        paper: what it is drawn for.

    Raises:
        ModelstitchError: if the cells table lacks the objective.
    """
    groups = joined(similarities, rows_with(cells, objective=objective)).groupby(
        ["sender_recipe", "receiver_recipe"], sort=False
    )
    across, size = arranged(len(INDICES), paper.room - LEFT - MARGIN, LEAST, PANEL, GAP)
    step = 0.2 + -(-len(INDICES) // across) * (ABOVE + size + BELOW)
    width = across * (size + GAP) - GAP
    page = canvas(LEFT + width + MARGIN, TOP + len(groups) * step)
    write_title(
        page,
        "Statistical and functional similarity",
        f"{objective} stitches · one dot per cell · rings: cells whose ranks by index and by accuracy differ most",
    )
    _draw_bar(page, LEFT, TOP - 0.43, colormap)
    for row, (recipes, group) in enumerate(groups):
        top = TOP + row * step + 0.2
        pairs = len(group.groupby(PAIR))
        heading = f"{' → '.join(recipes)}, {pairs} pair{'s' * (pairs != 1)}"
        page.text(LEFT, top - 0.03, heading, size=HEADING, color=INK, weight="bold", va="baseline")
        for place, index in enumerate(INDICES):
            column, y = place % across, top + ABOVE + place // across * (ABOVE + size + BELOW)
            axes = panel(page, LEFT + column * (size + GAP), y, size, size)
            _draw_index(axes, group, index, size, colormap)
            axes.tick_params(labelleft=column == 0)
            if column == 0:
                axes.set_ylabel("test accuracy", size=LABEL, color=SOFT, labelpad=3)
    return finish(page, paper)


def _draw_bar(page: Axes, left: float, top: float, colormap: str) -> None:
    """Draw the colour scale of relative depth."""
    extent = (left, left + BAR, top + BAR_HEIGHT, top)
    page.imshow(np.linspace(0, 1, 256)[None], cmap=colormap, extent=extent, aspect="auto", vmin=0, vmax=1)
    style = {"size": SMALL, "color": SOFT, "va": "top"}
    page.text(left, top + BAR_HEIGHT + 0.05, "first", ha="left", **style)
    page.text(left + BAR, top + BAR_HEIGHT + 0.05, "last", ha="right", **style)
    page.text(left + BAR / 2, top + BAR_HEIGHT + 0.05, "receiver's layer", ha="center", **style)


def _draw_index(axes: Axes, cells: pd.DataFrame, index: str, size: float, colormap: str) -> None:
    # Dots as pixels: a study can have a hundred thousand cells.
    axes.scatter(
        cells[calibrated_column(index)],
        cells.accuracy,
        c=cells.receiver_depth,
        cmap=colormap,
        vmin=0,
        vmax=1,
        s=9,
        alpha=0.7,
        linewidths=0,
        rasterized=True,
        clip_on=False,
    )
    marked = most_different(cells, index)
    axes.scatter(
        marked.similarity, marked.accuracy, s=30, facecolors="none", edgecolors=INK, linewidths=0.7, clip_on=False
    )
    words = f"rank correlation {number(correlation(cells, calibrated_column(index)))}"
    axes.text(0, 1.04, words, size=SMALL, color=SOFT, va="bottom")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    for axis in (axes.xaxis, axes.yaxis):
        unit_axis(axis, (0, 0.5, 1))
    open_panel(axes, length=2.5, width=0.5, pad=2)
    axes.set_xlabel("\n".join(wrapped(INDICES[index], SMALL, size)), size=SMALL, color=INK, labelpad=3)
