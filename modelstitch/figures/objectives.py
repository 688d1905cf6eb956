"""Figure of all objectives side by side: the average matrix of each, over the same cells."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from modelstitch.analysis.controls import OVER_REMAPPED, with_excess
from modelstitch.analysis.depth import average
from modelstitch.analysis.matrices import PAIR
from modelstitch.config.stitches import Stitches, kind_of
from modelstitch.figures.canvas import (
    BAR_SPACE,
    LEAST_BAR,
    arranged,
    canvas,
    chance_of,
    draw_bar,
    draw_matrix,
    number,
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
    text_width,
    wrapped,
    write_title,
)

_Group = tuple[str, Sequence[tuple[str, pd.DataFrame]]]  # a heading; objectives and their cells

PANEL, POINTS = 1.9, 256  # inches, as all that follow, and points of a panel
LEFT, TOP, ABOVE, GAP = 0.05, 0.86, 0.59, 0.35
HEADING_LINE = 0.17
LESS = "task less remapped"


class _Part(NamedTuple):
    """Panels of two recipes that stand side by side.

    Attributes:
        heading: above them.
        start: place in the row of the first, counted in panels.
        panels: objectives and their cells.
    """

    heading: str
    start: int
    panels: Sequence[tuple[str, pd.DataFrame]]


class _Arrangement(NamedTuple):
    """Rows of panels, the size of a panel, and the height of each row, in inches."""

    rows: Sequence[Sequence[_Part]]
    size: float
    heights: Sequence[float]

    @property
    def across(self) -> int:
        """Panels in the longest row."""
        return max((part.start + len(part.panels) for row in self.rows for part in row), default=1)

    @property
    def width(self) -> float:
        return 2 * MARGIN + LEFT + self.across * (self.size + GAP) - GAP

    @property
    def height(self) -> float:
        return TOP + sum(self.heights) + BAR_SPACE - GAP

    @property
    def ratio(self) -> float:
        return self.width / self.height


@plain()
def draw(cells: pd.DataFrame, networks: pd.DataFrame, colormap: str, paper: Paper = NATURAL) -> Page:
    """Draw the average matrix of each objective for each two recipes, over the cells that all objectives have.

    Axes are relative depths. Above each matrix stand its mean accuracy and its mean agreement with the receiver. The
    figure is wider than high, unless one column of a paper is too narrow. It is empty if no cell has all objectives.

    Args:
        cells, networks: the tables.
        colormap: of the accuracies.
        paper: what it is drawn for: a row has as many panels as it is wide.
    """
    layers = cells[cells.sender_layer >= 0]  # the image is no layer: it has no depth
    groups = [
        (_heading(recipes, shared), sorted(shared.groupby("objective"), key=lambda panel: _place(panel[0])))
        for recipes, chosen in with_excess(layers).groupby(["sender_recipe", "receiver_recipe"], sort=False)
        if len(shared := in_all(chosen))
    ]
    arrangement = _arrange(groups, paper)
    rows, size, heights = arrangement
    pitch, bottom = size + GAP, TOP + sum(heights)
    axes = canvas(arrangement.width, arrangement.height)
    write_title(axes, "All objectives", "average matrices · sender layers down, receiver layers to the right, by depth")
    for row, lower in zip(rows, TOP + np.cumsum(heights), strict=True):
        for part in row:
            left, upper = MARGIN + LEFT + part.start * pitch, lower - GAP - size
            style = {"size": HEADING, "color": INK, "weight": "bold"}
            write_lines(axes, left, upper - ABOVE - 0.14, part.heading, _width(part.panels, size), **style)
            for place, (objective, matrix) in enumerate(part.panels):
                x = left + place * pitch
                words = [f"mean {number(matrix.accuracy.mean())}"]
                if objective != OVER_REMAPPED:
                    words.append(f"agreement {number(matrix.agreement.mean())}")
                name = LESS if objective == OVER_REMAPPED else objective
                axes.text(x, upper - 0.39, name, size=LABEL, color=INK, va="baseline")
                for line, text in enumerate(words):
                    axes.text(x, upper - 0.21 + 0.14 * line, text, size=SMALL, color=SOFT, va="baseline")
                draw_matrix(axes, average(matrix, POINTS), x, upper, size, size, colormap)
    draw_bar(
        axes,
        MARGIN + LEFT,
        bottom - GAP,
        max(LEAST_BAR, min(arrangement.across, 2) * pitch - GAP),
        chance_of(networks),
        colormap,
        hatched=bool(cells.accuracy.isna().any()),
    )
    return finish(axes, paper)


def _arrange(groups: Sequence[_Group], paper: Paper) -> _Arrangement:
    """The arrangement with the fewest panels in a row that is wider than high, or the one that comes nearest to it."""
    total, most = sum(len(panels) for _, panels in groups), max((len(panels) for _, panels in groups), default=1)
    least = max(text_width("agreement 0.00", SMALL), text_width(LESS, LABEL) + 0.1 - GAP)
    found = []
    for count in range(most, max(total, most) + 1):
        across, size = arranged(count, paper.room - 2 * MARGIN - LEFT, least, PANEL, GAP)
        rows = _in_rows(groups, across)
        heights = [HEADING_LINE * max(_lines(part, size) for part in row) + 0.14 + ABOVE + size + GAP for row in rows]
        found.append(_Arrangement(rows, size, heights))
    wide = (one for one in found if one.ratio > 1)
    return next(wide, max(found, key=lambda one: one.ratio))


def _in_rows(groups: Sequence[_Group], across: int) -> list[list[_Part]]:
    """Place each group beside the one before if the row has room, and else in new rows."""
    rows: list[list[_Part]] = []
    free = 0
    for heading, panels in groups:
        for first in range(0, len(panels), across):
            some = panels[first : first + across]
            if len(some) > free:
                rows.append([])
                free = across
            rows[-1].append(_Part(heading, across - free, some))
            free -= len(some)
    return rows


def _lines(part: _Part, size: float) -> int:
    """Lines that the heading takes."""
    return len(wrapped(part.heading, HEADING, _width(part.panels, size), "bold"))


def _width(panels: Sequence[object], size: float) -> float:
    return len(panels) * (size + GAP) - GAP


def _heading(recipes: Sequence[str], cells: pd.DataFrame) -> str:
    pairs = cells.groupby(PAIR[1:]).ngroups
    return f"{' → '.join(recipes)} · {pairs}\N{NO-BREAK SPACE}pair{'s' * (pairs > 1)}"


def _place(objective: str) -> tuple[int, str]:
    """Sorting key of panels: the order of the sections in a study file, and the excess over remapped labels last."""
    sections = list(Stitches.model_fields)
    return len(sections) if objective == OVER_REMAPPED else sections.index(kind_of(objective)), objective


def in_all(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells that every objective of the table has."""
    count = cells.groupby([*PAIR[1:], "sender_layer", "receiver_layer"]).objective.transform("nunique")
    return cells[count == cells.objective.nunique()]
