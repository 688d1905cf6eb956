"""Picture of what predicts the accuracy of a cell: of each predictor alone, and what is lost without it."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from modelstitch.analysis.controls import OVER_REMAPPED
from modelstitch.figures.canvas import (
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
    write_title,
)
from modelstitch.measures.predictors import ALL, PREDICTORS

COLOURS = {"ridge": "#0969da", "trees": "#bc4c00"}
WORDS = {
    "probe_accuracy": "probe of the sender's layer",
    "last_column_accuracy": "stitch to the last layer",
    "least_squares_error": "least-squares error",
    "sender_later": "sender later",
    "sender_earlier": "sender earlier",
    "capacity": "capacity of the stitch",
    "remapped_accuracy": "remapped accuracy",
}
OUTCOMES = {"accuracy": "accuracy", OVER_REMAPPED: "accuracy over remapped"}
WIDTH, LINE, GAP, LEFT, TOP, BELOW, LEGEND = 3.2, 0.34, 0.35, 1.95, 0.75, 0.8, 0.35  # inches


@plain()
def draw(table: pd.DataFrame) -> Figure:
    """A panel for each two recipes (down) and outcome (across), one line per predictor; nothing of an empty table."""
    outcomes = [name for name in OUTCOMES if (table.outcome == name).any()]
    recipes = list(dict.fromkeys(zip(table.sender_recipe, table.receiver_recipe, strict=True)))
    names = [name for name in PREDICTORS if (table.predictor == name).any()]
    height = LINE * max(1, len(names))
    across, down = max(1, len(outcomes)), max(1, len(recipes))
    page = canvas(LEFT + across * (WIDTH + GAP) + MARGIN, TOP + LEGEND + down * (height + BELOW))
    write_title(page, "What predicts a cell", "R² on pairs of networks that the regression has not seen")
    _write_legend(page, TOP + 0.05)
    for row, pair in enumerate(recipes):
        top = TOP + LEGEND + row * (height + BELOW) + 0.25
        of_pair = table[(table.sender_recipe == pair[0]) & (table.receiver_recipe == pair[1])]
        heading = "all pairs" if pair == (ALL, ALL) else " → ".join(pair)
        page.text(MARGIN, top - 0.1, heading, size=LABEL, color=INK, weight="bold", va="baseline")
        for column, outcome in enumerate(outcomes):
            shown = of_pair[of_pair.outcome == outcome]
            if len(shown):
                _draw_panel(page, LEFT + column * (WIDTH + GAP), top, height, shown, names, first=column == 0)
    return page.figure


def _draw_panel(
    page: Axes, left: float, top: float, height: float, shown: pd.DataFrame, names: list[str], first: bool
) -> None:
    axes = panel(page, left, top, WIDTH, height)
    words = []
    for (model, colour), shift in zip(COLOURS.items(), (-0.17, 0.17), strict=True):
        rows = shown[shown.model == model]
        whole = rows[rows.predictors == "all"].r2.iloc[0]
        words.append(f"{model} {number(whole)}")
        axes.axvline(np.clip(whole, -0.2, 1), color=colour, linewidth=1, linestyle=(0, (4, 2)), zorder=1)
        for place, name in enumerate(names):
            own = rows[rows.predictor == name].set_index("predictors")
            if own.empty:
                continue
            alone, without = own.loc["alone"], own.loc["without"]
            y, bar = place + shift, {"color": colour, "linewidth": 0.8, "zorder": 2}
            axes.barh(y, without["drop"], height=0.28, color=colour, alpha=0.35, linewidth=0)
            axes.plot(without["drop"] + np.array([-1, 1]) * without.drop_std, [y, y], **bar)
            axes.plot(alone.r2 + np.array([-1, 1]) * alone.r2_std, [y, y], **bar)
            axes.plot(alone.r2, y, marker="o", markersize=4, markerfacecolor="white", color=colour, zorder=3)
    axes.set(xlim=(-0.2, 1), ylim=(len(names) - 0.5, -0.5))
    axes.set_yticks(range(len(names)), [WORDS[name] for name in names] if first else [""] * len(names))
    axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1], ["0", ".2", ".4", ".6", ".8", "1"])
    open_panel(axes, length=2.5, width=0.5, pad=2)
    axes.axvline(0, color=SOFT, linewidth=0.6)
    about = shown.iloc[0]
    style = {"size": SMALL, "color": SOFT, "va": "baseline"}
    page.text(left, top - 0.1, f"{OUTCOMES[about.outcome]} · all: {', '.join(words)}", **style)
    counts = f"{about.cells} cells of {about.pairs} pairs, {about.folds} folds"
    page.text(left + WIDTH, top + height + 0.36, counts, ha="right", **style)


def _write_legend(page: Axes, top: float) -> None:
    circle = {"marker": "o", "markerfacecolor": "white", "markersize": 4, "linestyle": "none"}
    handles = [Line2D([], [], color=colour, linewidth=3, label=model) for model, colour in COLOURS.items()]
    handles += [
        Line2D([], [], color=SOFT, label="alone", **circle),
        Line2D([], [], color=SOFT, linewidth=5, alpha=0.35, label="lost without it"),
        Line2D([], [], color=SOFT, linewidth=1, linestyle=(0, (4, 2)), label="all"),
    ]
    width, height = page.figure.get_size_inches()
    place = {
        "loc": "upper left",
        "bbox_to_anchor": (MARGIN / width, 1 - top / height),
        "borderaxespad": 0,
        "borderpad": 0,
    }
    page.legend(handles=handles, frameon=False, fontsize=SMALL, labelcolor=SOFT, ncols=len(handles), **place)
