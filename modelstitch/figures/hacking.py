"""Picture of what each cell's accuracy comes with: a likely representation or none, and whose mistakes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import cycle, product

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MultipleLocator, NullLocator

from modelstitch.figures.canvas import (
    INK,
    LABEL,
    MARGIN,
    SMALL,
    SOFT,
    canvas,
    open_panel,
    panel,
    plain,
    rows_with,
    text_width,
    write_title,
)
from modelstitch.identifiers import RECIPES

# Okabe and Ito's colours, which colour-blind readers tell apart, each always of the same recipes as long as they last:
# those of networks that a study makes itself have theirs, others what is left.
PALETTE = ("#0072b2", "#e69f00", "#56b4e9", "#d55e00", "#8a8a8a", "#f0e442", "#009e73", "#cc79a7", "#000000")
OWN = tuple(recipe for recipe in RECIPES if recipe != "pretrained")
COLOURS = dict(zip(product(OWN, OWN), PALETTE, strict=False))
PANEL, ACROSS, GAP = 2.05, 5, 0.3  # inches
LEFT, TOP, BELOW = 0.68, 1.2, 0.62
NAMES = 5  # in a row of the legend
LINE = 0.22


@dataclass(frozen=True)
class Panel:
    """One measure: its column, over another one if named; the value of what is expected, if there is one."""

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
def draw(cells: pd.DataFrame, objective: str) -> Figure:
    """Accuracy against each of `PANELS`, one dot per cell, coloured by the recipes of sender and receiver.

    Raises:
        ModelstitchError: if the table lacks the objective.
    """
    shown = rows_with(cells, objective=objective)
    found = {recipes: group for recipes, group in shown.groupby(["sender_recipe", "receiver_recipe"])}  # noqa: C416
    groups = {recipes: found[recipes] for recipes in product(RECIPES, RECIPES) if recipes in found}
    colours = colours_of(groups)
    down = len(PANELS) // ACROSS
    width = LEFT + ACROSS * PANEL + (ACROSS - 1) * GAP + MARGIN
    top = TOP + LINE * ((len(groups) - 1) // NAMES)
    axes = canvas(width, top + down * (PANEL + BELOW))
    write_title(
        axes,
        "Preserving or hacking",
        f"{objective} stitches · one dot per cell · dotted: the expected representation; "
        "for amplification, a random error",
    )
    _write_legend(axes, colours)
    for place, measure in enumerate(PANELS):
        left, above = LEFT + place % ACROSS * (PANEL + GAP), top + place // ACROSS * (PANEL + BELOW)
        _draw_panel(axes, left, above, measure, groups, colours, first=place % ACROSS == 0)
    return axes.figure


def colours_of(recipes: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """A colour for each pair of recipes; none is used twice before all are."""
    pairs = list(recipes)
    left = cycle([colour for pair, colour in COLOURS.items() if pair not in pairs] or PALETTE)
    return {pair: COLOURS.get(pair) or next(left) for pair in pairs}


def _write_legend(axes: Axes, colours: Mapping[tuple[str, str], str]) -> None:
    for place, (pair, colour) in enumerate(colours.items()):
        if place % NAMES == 0:
            x, y = LEFT + 0.05, TOP - 0.26 + LINE * (place // NAMES)
        name = " → ".join(pair)
        axes.scatter(x, y, s=26, color=colour, linewidths=0)
        axes.text(x + 0.1, y, name, size=LABEL, color=INK, va="center_baseline")
        x += text_width(name, LABEL) + 0.35


def _draw_panel(
    page: Axes,
    left: float,
    top: float,
    measure: Panel,
    groups: Mapping[tuple[str, str], pd.DataFrame],
    colours: Mapping[tuple[str, str], str],
    first: bool,
) -> None:
    axes = panel(page, left, top, PANEL, PANEL)
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
        axes.scatter(values, cells.accuracy, color=colours[recipes], **dots)
    _style(axes, measure, first)


def _style(axes: Axes, measure: Panel, first: bool) -> None:
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_locator(MultipleLocator(0.2))
    if measure.logarithmic:
        low, high = axes.get_xlim()
        steps = (1, 1.5, 2, 3, 5, 7) if high / low < 8 else (1, 2, 5) if high / low < 50 else (1,)
        axes.xaxis.set_major_locator(LogLocator(subs=steps, numticks=6))
        axes.xaxis.set_minor_locator(NullLocator())
    elif measure.column == "detection":
        axes.set_xlim(0.4, 1)
    axes.xaxis.set_major_formatter(FuncFormatter(_tick))
    axes.yaxis.set_major_formatter(FuncFormatter(_tick))
    open_panel(axes, length=2.5, width=0.5, pad=2, labelleft=first)
    axes.set_xlabel(measure.words, size=SMALL, color=INK, labelpad=3)
    if first:
        axes.set_ylabel("test accuracy", size=LABEL, color=SOFT, labelpad=3)


def _tick(value: float, _: int) -> str:
    """`.2`, `1`, `100`: no zero before the point, none after it."""
    return f"{value:g}".replace("0.", ".", 1).replace("-", "\N{MINUS SIGN}") if abs(value) < 1 else f"{value:g}"
