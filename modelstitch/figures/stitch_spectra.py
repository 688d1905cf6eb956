"""Picture of what stitches learned by the depth of the layers that they join: a matrix for each number."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from modelstitch.analysis.depth import average
from modelstitch.figures.canvas import (
    BAR_SPACE,
    HEADING,
    INK,
    LABEL,
    MARGIN,
    SMALL,
    SOFT,
    canvas,
    draw_bar,
    draw_matrix,
    number,
    plain,
    rows_with,
    stitches_of,
    write_title,
)
from modelstitch.identifiers import RECIPES

SIZE, GAP, ABOVE, POINTS = 1.75, 0.32, 0.62, 256  # inches, but for the points along a matrix's side
LEFT, TOP = 0.62, 0.75


@dataclass(frozen=True)
class Panel:
    """One number from 0 to 1: its column, over another one if named."""

    words: str
    column: str
    over: str | None = None


PANELS = (
    Panel("effective rank ÷ full rank", "effective_rank", "full_rank"),
    Panel("distance to orthogonal", "orthogonal_distance"),
    Panel("distance to a permutation", "permutation_distance"),
    Panel("energy in sensitive directions", "sensitive_energy"),
    Panel("the same, expected", "sensitive_energy_expected"),
    Panel("correlation with task stitches", "task_output_correlation"),
)


@plain()
def draw(cells: pd.DataFrame, objective: str, colormap: str) -> Figure:
    """For each two recipes a row of matrices on axes of relative depth, one per number, the mean over their pairs.

    Each pair gives a point the number of its cell nearest to it. A number that the objective doesn't have is left out.

    Raises:
        ModelstitchError: if the table lacks the objective.
    """
    shown = rows_with(cells, objective=objective)
    panels = [panel for panel in PANELS if shown[panel.column].notna().any()]
    recipes = sorted(set(zip(shown.sender_recipe, shown.receiver_recipe, strict=True)), key=_order)
    step = ABOVE + SIZE + 0.45
    bottom = TOP + len(recipes) * step
    axes = canvas(LEFT + MARGIN + len(panels) * (SIZE + GAP), bottom + BAR_SPACE)
    write_title(
        axes, "What stitches learned", f"{stitches_of(objective)} · down: sender layer, right: receiver layer, by depth"
    )
    hatched = False
    for row, pair in enumerate(recipes):
        top = TOP + row * step + ABOVE
        group = rows_with(shown, sender_recipe=pair[0], receiver_recipe=pair[1])
        axes.text(LEFT, top - 0.38, " → ".join(pair), size=HEADING, color=INK, weight="bold", va="baseline")
        for place, panel in enumerate(panels):
            values = group[panel.column] / (group[panel.over] if panel.over else 1)
            left = LEFT + place * (SIZE + GAP)
            hatched |= _draw_matrix(axes, left, top, group.assign(shown=values), colormap)
            axes.text(left, top - 0.1, panel.words, size=SMALL, color=INK, va="baseline")
            mean = number(values.mean())
            axes.text(left + SIZE, top + SIZE + 0.34, f"mean {mean}", size=SMALL, color=SOFT, ha="right", va="baseline")
        _write_depths(axes, top)
    room = len(panels) * (SIZE + GAP)
    draw_bar(axes, LEFT, bottom, room, None, colormap, hatched, words="each number")
    return axes.figure


def _order(pair: tuple[str, str]) -> list[int]:
    return [RECIPES.index(recipe) for recipe in pair]


def _draw_matrix(axes: Axes, left: float, top: float, cells: pd.DataFrame, colormap: str) -> bool:
    """The average of the pairs' `shown`; whether any point of it has no result."""
    values = average(cells, POINTS, "shown")
    draw_matrix(axes, values, left, top, SIZE, SIZE, colormap)
    return bool(np.isnan(values).any())


def _write_depths(axes: Axes, top: float) -> None:
    """Of the first and last layer, beside the first matrix of a row."""
    for tick in (0, 0.5, 1):
        axes.text(LEFT - 0.06, top + tick * SIZE, f"{tick:g}", size=SMALL, color=SOFT, ha="right", va="center_baseline")
        axes.text(
            LEFT + tick * SIZE, top + SIZE + 0.17, f"{tick:g}", size=SMALL, color=SOFT, ha="center", va="baseline"
        )
    axes.text(LEFT - 0.4, top + SIZE / 2, "sender depth", size=LABEL, color=SOFT, ha="center", va="center", rotation=90)
