"""Figure of what stitches learned, by the depth of the two layers: a matrix for each measure."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from modelstitch.analysis.depth import average
from modelstitch.figures.canvas import (
    BAR_SPACE,
    arranged,
    canvas,
    draw_bar,
    draw_matrix,
    number,
    rows_with,
    stitches_of,
    tick,
    write_lines,
)
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
    write_title,
)
from modelstitch.identifiers import RECIPES

SIZE, LEAST, GAP, POINTS = 1.75, 1.4, 0.32, 256  # inches, but for the points along a matrix's side
LEFT, TOP, HEAD, ABOVE, BELOW = 0.62, 0.8, 0.2, 0.35, 0.42


@dataclass(frozen=True)
class Panel:
    """A measure from 0 to 1: its column, divided by another if `over` is given."""

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
def draw(cells: pd.DataFrame, objective: str, colormap: str, paper: Paper = NATURAL) -> Page:
    """Draw for each two recipes a row of matrices, one per measure: means over their pairs by relative depth.

    Each point is the mean, over the pairs, of the nearest cell. A measure that the objective lacks is left out.

    Raises:
        ModelstitchError: if the table lacks the objective.
    """
    shown = rows_with(cells, objective=objective)
    panels = [panel for panel in PANELS if shown[panel.column].notna().any()]
    recipes = sorted(set(zip(shown.sender_recipe, shown.receiver_recipe, strict=True)), key=_order)
    across, size = arranged(len(panels), paper.room - LEFT - MARGIN, LEAST, SIZE, GAP)
    down = ABOVE + size + BELOW
    step = HEAD + -(-len(panels) // across) * down
    bottom, width = TOP + len(recipes) * step, across * (size + GAP) - GAP
    axes = canvas(LEFT + width + MARGIN, bottom + BAR_SPACE)
    write_title(
        axes, "What stitches learned", f"{stitches_of(objective)} · down: sender layer, right: receiver layer, by depth"
    )
    hatched = False
    for row, pair in enumerate(recipes):
        top = TOP + row * step + HEAD
        group = rows_with(shown, sender_recipe=pair[0], receiver_recipe=pair[1])
        axes.text(LEFT, top, " → ".join(pair), size=HEADING, color=INK, weight="bold", va="baseline")
        for place, panel in enumerate(panels):
            values = group[panel.column] / (group[panel.over] if panel.over else 1)
            left, y = LEFT + place % across * (size + GAP), top + ABOVE + place // across * down
            hatched |= _draw_matrix(axes, left, y, size, group.assign(shown=values), colormap)
            write_lines(axes, left, y - 0.08, panel.words, size + 0.1, size=SMALL, color=INK)
            mean = f"mean {number(values.mean())}"
            axes.text(left + size, y + size + 0.32, mean, size=SMALL, color=SOFT, ha="right", va="baseline")
            if place % across == 0:
                _write_depths(axes, y, size)
    draw_bar(axes, LEFT, bottom - 0.1, width, None, colormap, hatched, words="each number")
    return finish(axes, paper)


def _order(pair: tuple[str, str]) -> list[int]:
    return [RECIPES.index(recipe) for recipe in pair]


def _draw_matrix(axes: Axes, left: float, top: float, size: float, cells: pd.DataFrame, colormap: str) -> bool:
    """Draw the average over pairs of the column `shown`; return whether any point of it has no result."""
    values = average(cells, POINTS, "shown")
    draw_matrix(axes, values, left, top, size, size, colormap)
    return bool(np.isnan(values).any())


def _write_depths(axes: Axes, top: float, size: float) -> None:
    """Write the relative depths beside the first matrix of a row."""
    style = {"size": SMALL, "color": SOFT}
    for depth in (0, 0.5, 1):
        axes.text(LEFT - 0.06, top + depth * size, tick(depth), ha="right", va="center_baseline", **style)
        axes.text(LEFT + depth * size, top + size + 0.17, tick(depth), ha="center", va="baseline", **style)
    axes.text(
        LEFT - 0.42, top + size / 2, "sender depth", size=LABEL, color=SOFT, ha="center", va="center", rotation=90
    )
