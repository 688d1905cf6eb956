"""Figure of the measures of hacking: is a stitched representation a likely one, and whose mistakes does it make?"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from modelstitch.figures.canvas import (
    LINE,
    arranged,
    canvas,
    key_rows,
    open_panel,
    panel,
    rows_with,
    space_ticks,
    unit_axis,
    write_key,
)
from modelstitch.figures.palette import of_recipes
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
    wrapped,
    write_title,
)
from modelstitch.identifiers import RECIPES

PANEL, LEAST, ACROSS, GAP = 2.05, 1.4, 5, 0.3  # inches
LEFT, TOP, BELOW = 0.68, 0.86, 0.75
DOT = {"marker": "o", "markersize": 5, "linestyle": "none", "markeredgewidth": 0}


@dataclass(frozen=True)
class Panel:
    """One measure: its column, divided by another if `over` is given, and the expected value if there is one."""

    words: str
    column: str
    over: str | None = None
    logarithmic: bool = False
    expected: float | None = None


PANELS = (
    Panel("squared Mahalanobis ÷ expected", "mahalanobis", "mahalanobis_expected", True, 1),
    Panel("neighbour distance ÷ expected", "neighbour_distance", "neighbour_distance_expected", True, 1),
    Panel("precision ÷ expected", "precision", "precision_expected", expected=1),
    Panel("recall ÷ expected", "recall", "recall_expected", expected=1),
    Panel("detection (AUC)", "detection", expected=0.5),
    Panel("accuracy of the readout ÷ expected", "readout_accuracy", "readout_accuracy_expected", expected=1),
    Panel("relative error", "relative_error", logarithmic=True),
    Panel("amplification ÷ a random error's", "amplification", "random_amplification", True, 1),
    Panel("error consistency, receiver (κ)", "kappa_receiver", expected=1),
    Panel("error consistency, sender (κ)", "kappa_sender"),
)


@plain()
def draw(cells: pd.DataFrame, objective: str, paper: Paper = NATURAL) -> Page:
    """Draw accuracy against each of `PANELS`, one dot per cell, coloured by the recipes of sender and receiver.

    Raises:
        ModelstitchError: if the table lacks the objective.
    """
    shown = rows_with(cells, objective=objective)
    found = {recipes: group for recipes, group in shown.groupby(["sender_recipe", "receiver_recipe"])}  # noqa: C416
    groups = {recipes: found[recipes] for recipes in product(RECIPES, RECIPES) if recipes in found}
    key = {" → ".join(pair): {"color": of_recipes(*pair), **DOT} for pair in groups}
    across, size = arranged(len(PANELS), paper.room - LEFT - MARGIN, LEAST, PANEL, GAP)
    if not math.isfinite(paper.room):
        across = ACROSS
    width = across * (size + GAP) - GAP
    top = TOP + LINE * len(key_rows(key, width)) + 0.15
    axes = canvas(LEFT + width + MARGIN, top + -(-len(PANELS) // across) * (size + BELOW))
    write_title(
        axes,
        "Preserving or hacking",
        f"{objective} stitches · one dot per cell · dotted: the expected representation; "
        "for amplification, a random error",
    )
    write_key(axes, LEFT, TOP + 0.1, key, width)
    for place, measure in enumerate(PANELS):
        left, above = LEFT + place % across * (size + GAP), top + place // across * (size + BELOW)
        _draw_panel(axes, left, above, size, measure, groups, first=place % across == 0)
    return finish(axes, paper)


def _draw_panel(
    page: Axes,
    left: float,
    top: float,
    size: float,
    measure: Panel,
    groups: Mapping[tuple[str, str], pd.DataFrame],
    first: bool,
) -> None:
    axes = panel(page, left, top, size, size)
    if measure.logarithmic:
        axes.set_xscale("log")
    if measure.expected is not None:
        axes.axvline(measure.expected, color=SOFT, linewidth=0.9, linestyle=(0, (1, 1.6)), zorder=1)
    # Trained pairs last, over the controls. Dots as pixels: a study can have a hundred thousand cells.
    for recipes in reversed(groups):
        cells = groups[recipes]
        values = cells[measure.column] / (cells[measure.over] if measure.over else 1)
        if measure.logarithmic:
            values = values.where(values > 0)
        dots = {"s": 9, "alpha": 0.6, "linewidths": 0, "rasterized": True, "zorder": 2, "clip_on": False}
        axes.scatter(values, cells.accuracy, color=of_recipes(*recipes), **dots)
    _style(axes, measure, size, first)


def _style(axes: Axes, measure: Panel, size: float, first: bool) -> None:
    axes.set_ylim(0, 1)
    unit_axis(axes.yaxis)
    if measure.logarithmic:
        low, high = axes.get_xlim()
        steps = (1, 1.5, 2, 3, 5, 7) if high / low < 8 else (1, 2, 5) if high / low < 50 else (1,)
        axes.xaxis.set_major_locator(LogLocator(subs=steps, numticks=6))
    elif measure.column == "detection":
        axes.set_xlim(0.4, 1)
    space_ticks(axes, size)
    open_panel(axes, length=2.5, width=0.5, pad=2, labelleft=first)
    axes.set_xlabel("\n".join(wrapped(measure.words, SMALL, size)), size=SMALL, color=INK, labelpad=3)
    if first:
        axes.set_ylabel("test accuracy", size=LABEL, color=SOFT, labelpad=3)
