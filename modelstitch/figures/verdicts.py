"""Picture of the verdicts: how well each measure tells each control from the real thing."""

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from modelstitch.analysis.verdicts import ALIKE
from modelstitch.figures.canvas import (
    INK,
    LABEL,
    MARGIN,
    SMALL,
    SOFT,
    TITLE,
    canvas,
    number,
    plain,
    text_width,
    write_title,
)

CELL, HEIGHT = 0.44, 0.27  # inches
MAP = "PuOr"  # white where a measure tells nothing


@plain()
def draw(verdicts: pd.DataFrame) -> Figure:
    """A row for each control and a column for each measure, of cells of the same layers, over all depths.

    A number in brackets tells nothing apart; the name of a control that nothing should tell apart is in brackets too.

    Args:
        verdicts: the table, in the order in which rows and columns are shown.
    """
    shown = verdicts[verdicts.depth == "all"].set_index(["control", "measure"])
    controls, measures = (list(dict.fromkeys(shown.index.get_level_values(name))) for name in shown.index.names)
    names = {measure: measure.replace("_", " ") for measure in measures}
    alike = set(shown[shown.expected == ALIKE].index.get_level_values("control"))
    words = {name: f"({name})" if name in alike else name for name in controls}
    left = MARGIN + max((text_width(name, LABEL) for name in words.values()), default=1.0) + 0.12
    top = 0.95 + max((text_width(name, LABEL) for name in names.values()), default=0.0)
    title = "What tells a control from the real thing"
    subtitle = "area under the curve, cells of the same layers · (interval holds 0.5) · (expected to be alike)"
    written = max(text_width(title, TITLE, "bold"), text_width(subtitle, LABEL))
    width = max(left + CELL * len(measures), MARGIN + written) + MARGIN
    axes = canvas(width, top + HEIGHT * len(controls) + MARGIN)
    write_title(axes, title, subtitle)
    colormap = matplotlib.colormaps[MAP]
    for column, measure in enumerate(measures):
        place = left + CELL * (column + 0.5), top - 0.08
        axes.text(*place, names[measure], size=LABEL, color=SOFT, rotation=90, ha="center", va="bottom")
    for row, control in enumerate(controls):
        above = top + HEIGHT * row
        axes.text(
            left - 0.1, above + HEIGHT / 2, words[control], size=LABEL, color=INK, ha="right", va="center_baseline"
        )
        for column, measure in enumerate(measures):
            if (control, measure) not in shown.index:
                continue
            found = shown.loc[control, measure]
            corner = left + CELL * column, above
            # Half of the scale, whose ends are too dark for a number.
            colour = colormap(0.5 + 0.7 * (found.matched_auc - 0.5))
            axes.add_patch(Rectangle(corner, CELL - 0.02, HEIGHT - 0.02, facecolor=colour, linewidth=0))
            value = number(found.matched_auc)
            if found.verdict not in ("tells apart", "the wrong way"):
                value = f"({value})"
            axes.text(corner[0] + CELL / 2, above + HEIGHT / 2, value, size=SMALL, ha="center", va="center_baseline")
    return axes.figure
