"""Picture of all objectives side by side: the average matrix of each, of the same cells."""

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
    write_title,
)

PANEL, POINTS = 1.9, 256  # inches, as all that follow, and points of a panel
LEFT, ABOVE, GAP = 0.05, 0.45, 0.35


@plain()
def draw(cells: pd.DataFrame, networks: pd.DataFrame, colormap: str, paper: Paper = NATURAL) -> Page:
    """A row of average matrices for each two recipes, a panel for each objective, of the cells that all of them have.

    Each is on axes of relative depth, with its mean accuracy and how often it predicts what the receiver does.
    Empty where no cell has them all.

    Args:
        cells, networks: the tables.
        colormap: of the accuracies.
        paper: what it is drawn for: a row has as many panels as it is wide.
    """
    layers = cells[cells.sender_layer >= 0]  # the image is no layer: it has no depth
    rows = [
        (recipes, shared)
        for recipes, chosen in with_excess(layers).groupby(["sender_recipe", "receiver_recipe"], sort=False)
        if len(shared := in_all(chosen))
    ]
    panels = [sorted(shared.groupby("objective"), key=lambda panel: _place(panel[0])) for _, shared in rows]
    most = max(map(len, panels), default=1)
    least = text_width("mean 0.00, agreement 0.00", SMALL)
    across, size = arranged(most, paper.room - 2 * MARGIN - LEFT, least, PANEL, GAP)
    pitch, step = size + GAP, ABOVE + size
    heights = [0.3 + GAP + step * -(-len(objectives) // across) for objectives in panels]
    top = 0.86
    bottom = top + sum(heights)
    axes = canvas(2 * MARGIN + LEFT + across * pitch - GAP, bottom + BAR_SPACE - GAP)
    write_title(axes, "All objectives", "average matrices · sender layers down, receiver layers to the right, by depth")
    for row, ((recipes, shared), objectives) in enumerate(zip(rows, panels, strict=True)):
        upper = top + sum(heights[:row])
        pairs = shared.groupby(PAIR[1:]).ngroups
        heading = f"{' → '.join(recipes)} · {pairs} pair{'s' * (pairs > 1)}"
        axes.text(MARGIN, upper + 0.16, heading, size=HEADING, color=INK, weight="bold", va="baseline")
        for column, (objective, matrix) in enumerate(objectives):
            x, y = MARGIN + LEFT + column % across * pitch, upper + 0.3 + ABOVE + column // across * step
            name = "task less remapped" if objective == OVER_REMAPPED else objective
            axes.text(x, y - 0.24, name, size=LABEL, color=INK, va="baseline")
            words = f"mean {number(matrix.accuracy.mean())}"
            if objective != OVER_REMAPPED:
                words += f", agreement {number(matrix.agreement.mean())}"
            axes.text(x, y - 0.07, words, size=SMALL, color=SOFT, va="baseline")
            draw_matrix(axes, average(matrix, POINTS), x, y, size, size, colormap)
    hatched = bool(cells.accuracy.isna().any())
    draw_bar(
        axes,
        MARGIN + LEFT,
        bottom - GAP,
        max(LEAST_BAR, min(across, 2) * pitch - GAP),
        chance_of(networks),
        colormap,
        hatched,
    )
    return finish(axes, paper)


def _place(objective: str) -> tuple[int, str]:
    """By which panels are sorted: as the study's sections, what is over the control last."""
    sections = list(Stitches.model_fields)
    return len(sections) if objective == OVER_REMAPPED else sections.index(kind_of(objective)), objective


def in_all(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells that every objective of the table has."""
    count = cells.groupby([*PAIR[1:], "sender_layer", "receiver_layer"]).objective.transform("nunique")
    return cells[count == cells.objective.nunique()]
