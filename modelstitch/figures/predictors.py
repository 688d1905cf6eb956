"""Figure of what predicts the accuracy of a cell: each predictor alone, and the loss without it."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from modelstitch.analysis.controls import OVER_REMAPPED
from modelstitch.figures.canvas import (
    LINE,
    arranged,
    canvas,
    key_rows,
    number,
    open_panel,
    panel,
    unit_axis,
    write_key,
    write_lines,
)
from modelstitch.figures.palette import ROLES
from modelstitch.figures.paper import INK, LABEL, MARGIN, NATURAL, SMALL, SOFT, Page, Paper, finish, plain, write_title
from modelstitch.measures.predictors import ALL, PREDICTORS

MODELS = ("ridge", "trees")
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
WIDTH, LEAST, ROW, GAP, LEFT, TOP, ABOVE, BELOW = 3.2, 2.2, 0.34, 0.35, 1.95, 0.86, 0.5, 0.5  # inches
CIRCLE = {"marker": "o", "markerfacecolor": "white", "markersize": 4}
KEY = {model: {"color": ROLES[model], "linewidth": 3} for model in MODELS} | {
    "alone": {"color": SOFT, "linewidth": 0.8, **CIRCLE},
    "lost without it": {"color": SOFT, "linewidth": 5, "alpha": 0.35},
    "all": {"color": SOFT, "linewidth": 1, "linestyle": (0, (4, 2))},
}


@plain()
def draw(table: pd.DataFrame, paper: Paper = NATURAL) -> Page:
    """Draw a panel for each two recipes (down) and outcome (across), with one line per predictor.

    An empty table gives an empty figure.
    """
    outcomes = [name for name in OUTCOMES if (table.outcome == name).any()]
    recipes = list(dict.fromkeys(zip(table.sender_recipe, table.receiver_recipe, strict=True)))
    names = [name for name in PREDICTORS if (table.predictor == name).any()]
    height = ROW * max(1, len(names))
    across, width = arranged(max(1, len(outcomes)), paper.room - LEFT - MARGIN, LEAST, WIDTH, GAP)
    step = ABOVE + height + BELOW
    down = -(-len(outcomes) // across)
    whole = across * (width + GAP) - GAP
    first = TOP + LINE * len(key_rows(KEY, LEFT + whole - MARGIN))
    page = canvas(LEFT + whole + MARGIN, first + max(1, len(recipes) * down) * step)
    write_title(page, "What predicts a cell", "R² on pairs of networks that the regression has not seen")
    write_key(page, MARGIN, TOP + 0.1, KEY, LEFT + whole - MARGIN)
    for row, pair in enumerate(recipes):
        of_pair = table[(table.sender_recipe == pair[0]) & (table.receiver_recipe == pair[1])]
        heading = "all pairs" if pair == (ALL, ALL) else " → ".join(pair)
        top = first + row * down * step + ABOVE
        write_lines(page, MARGIN, top - 0.1, heading, LEFT - 2 * MARGIN, size=LABEL, color=INK, weight="bold")
        for place, outcome in enumerate(outcomes):
            shown = of_pair[of_pair.outcome == outcome]
            if len(shown):
                left, y = LEFT + place % across * (width + GAP), top + place // across * step
                _draw_panel(page, left, y, width, height, shown, names, first=place % across == 0)
    return finish(page, paper)


def _draw_panel(
    page: Axes,
    left: float,
    top: float,
    width: float,
    height: float,
    shown: pd.DataFrame,
    names: list[str],
    first: bool,
) -> None:
    axes = panel(page, left, top, width, height)
    words = []
    for (model, colour), shift in zip(((one, ROLES[one]) for one in MODELS), (-0.17, 0.17), strict=True):
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
    unit_axis(axes.xaxis)
    open_panel(axes, length=2.5, width=0.5, pad=2)
    axes.axvline(0, color=SOFT, linewidth=0.6)
    about = shown.iloc[0]
    title = f"{OUTCOMES[about.outcome]} · all: {', '.join(words)}"
    write_lines(page, left, top - 0.1, title, width, size=SMALL, color=SOFT)
    counts = f"{about.cells} cells of {about.pairs} pairs, {about.folds} folds"
    page.text(left + width, top + height + 0.33, counts, size=SMALL, color=SOFT, va="baseline", ha="right")
