"""Figure of the verdicts: how well each measure tells each control from the real thing."""

from collections.abc import Mapping
from itertools import product

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle

from modelstitch.analysis.verdicts import ALIKE
from modelstitch.figures.canvas import canvas, ink_on, number
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
    text_width,
    write_title,
)
from modelstitch.figures.words import measure_words

CELL, LEAST, HEIGHT = 0.46, 0.38, 0.27  # inches: of a cell, and of one that holds its number
MAP = "PuOr"  # white where a measure tells nothing


@plain()
def draw(verdicts: pd.DataFrame, paper: Paper = NATURAL) -> Page:
    """Draw the area under the ROC curve by control (rows) and measure (columns), over cells of the same layers.

    A number is in brackets if its interval includes 0.5. A control is in brackets if no measure should tell it apart.

    Args:
        verdicts: the table, in the order in which rows and columns are shown.
        paper: what it is drawn for. Where columns would be too narrow for numbers, rows and columns are exchanged.
    """
    shown = verdicts[verdicts.depth == "all"].set_index(["control", "measure"])
    controls, measures = (list(dict.fromkeys(shown.index.get_level_values(name))) for name in shown.index.names)
    names = {measure: measure_words(measure) for measure in measures}
    alike = set(shown[shown.expected == ALIKE].index.get_level_values("control"))
    labels = {"control": {one: f"({one})" if one in alike else one for one in controls}, "measure": names}
    down, across = labels["control"], labels["measure"]
    left, top = _beside(down), _above(across)
    exchanged = left + CELL * len(across) + MARGIN > paper.room
    if exchanged:
        down, across = across, down
        left, top = _beside(down), _above(across)
    width = min(CELL, (paper.room - left - MARGIN) / max(1, len(across)))
    axes = canvas(left + width * len(across) + MARGIN, top + HEIGHT * len(down) + MARGIN)
    title = "What tells a control from the real thing"
    write_title(
        axes, title, "area under the ROC curve, cells of the same layers · in brackets: the 95 % interval includes 0.5"
    )
    colormap = matplotlib.colormaps[MAP]
    for column, words in enumerate(across.values()):
        place = left + width * (column + 0.5), top - 0.08
        axes.text(*place, words, size=LABEL, color=SOFT, rotation=90, ha="center", va="bottom")
    for row, words in enumerate(down.values()):
        middle = top + HEIGHT * (row + 0.5)
        axes.text(left - 0.1, middle, words, size=LABEL, color=INK, ha="right", va="center_baseline")
    for (row, one), (column, other) in product(enumerate(down), enumerate(across)):
        key = (other, one) if exchanged else (one, other)
        if key not in shown.index:
            continue
        found, corner = shown.loc[key], (left + width * column, top + HEIGHT * row)
        # Half of the scale, whose ends are too dark for a number.
        colour = colormap(0.5 + 0.7 * (found.matched_auc - 0.5))
        axes.add_patch(Rectangle(corner, width - 0.02, HEIGHT - 0.02, facecolor=colour, linewidth=0))
        value = number(found.matched_auc)
        if found.verdict not in ("tells apart", "the wrong way"):
            value = f"({value})"
        middle = corner[0] + width / 2, corner[1] + HEIGHT / 2
        if width >= LEAST:
            ink = ink_on(np.array(colour))
            axes.text(*middle, value, size=SMALL, color=ink, ha="center", va="center_baseline")
    return finish(axes, paper)


def _beside(labels: Mapping[str, str]) -> float:
    """Room for the names of the rows."""
    return MARGIN + max((text_width(words, LABEL) for words in labels.values()), default=1.0) + 0.12


def _above(labels: Mapping[str, str]) -> float:
    """Room for the title and the names of the columns."""
    return 0.95 + max((text_width(words, LABEL) for words in labels.values()), default=0.0)
