"""Picture of what the statistical similarity of two layers says of the accuracy of the stitch between them."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from modelstitch.analysis.agreement import INDICES, PAIR, calibrated_column, correlation, joined, most_different
from modelstitch.figures.canvas import (
    BAR_HEIGHT,
    HEADING,
    INK,
    LABEL,
    MARGIN,
    SMALL,
    SOFT,
    canvas,
    number,
    open_panel,
    panel,
    plain,
    rows_with,
    write_title,
)

PANEL, GAP = 1.62, 0.2  # inches, as all that follow
LEFT, TOP, ABOVE, BELOW = 0.68, 1.2, 0.42, 0.5
BAR = 1.6
TICKS = ([0, 0.25, 0.5, 0.75, 1], ["0", "", ".5", "", "1"])


@plain()
def draw(similarities: pd.DataFrame, cells: pd.DataFrame, objective: str, colormap: str) -> Figure:
    """Accuracy against each calibrated index, one dot per cell, one row of panels for each two recipes.

    Args:
        similarities: as `measures.statistical_similarity` gives them.
        cells: the cells table.
        objective: whose accuracies are shown.
        colormap: colours of the receiver's relative depth.

    Raises:
        ModelstitchError: if the cells table lacks the objective.
    """
    groups = joined(similarities, rows_with(cells, objective=objective)).groupby(
        ["sender_recipe", "receiver_recipe"], sort=False
    )
    step = ABOVE + PANEL + BELOW
    width = LEFT + len(INDICES) * (PANEL + GAP) - GAP + MARGIN
    page = canvas(width, TOP + len(groups) * step)
    write_title(
        page,
        "Statistical and functional similarity",
        f"{objective} stitches · one dot per cell · rings: cells whose ranks by index and by accuracy differ most",
    )
    _draw_bar(page, width - MARGIN - BAR, colormap)
    for row, (recipes, group) in enumerate(groups):
        top = TOP + row * step + ABOVE
        pairs = len(group.groupby(PAIR))
        heading = f"{' → '.join(recipes)}, {pairs} pair{'s' * (pairs != 1)}"
        page.text(LEFT, top - ABOVE + 0.05, heading, size=HEADING, color=INK, weight="bold", va="baseline")
        for column, index in enumerate(INDICES):
            axes = panel(page, LEFT + column * (PANEL + GAP), top, PANEL, PANEL)
            _draw_index(axes, group, index, colormap)
            axes.tick_params(labelleft=column == 0)
            if column == 0:
                axes.set_ylabel("test accuracy", size=LABEL, color=SOFT, labelpad=3)
    return page.figure


def _draw_bar(page: Axes, left: float, colormap: str) -> None:
    """The colours of relative depth."""
    top = MARGIN + 0.2
    extent = (left, left + BAR, top + BAR_HEIGHT, top)
    page.imshow(np.linspace(0, 1, 256)[None], cmap=colormap, extent=extent, aspect="auto", vmin=0, vmax=1)
    style = {"size": SMALL, "color": SOFT, "va": "top"}
    page.text(left, top + BAR_HEIGHT + 0.05, "first", ha="left", **style)
    page.text(left + BAR, top + BAR_HEIGHT + 0.05, "last", ha="right", **style)
    page.text(left + BAR / 2, top + BAR_HEIGHT + 0.05, "receiver's layer", ha="center", **style)


def _draw_index(axes: Axes, cells: pd.DataFrame, index: str, colormap: str) -> None:
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
    axes.set_xticks(*TICKS)
    axes.set_yticks(*TICKS)
    open_panel(axes, length=2.5, width=0.5, pad=2)
    axes.set_xlabel(INDICES[index], size=SMALL, color=INK, labelpad=3)
