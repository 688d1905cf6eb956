"""Picture of accuracy by what a stitch can express: one panel per pair, one dot per family and objective."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from modelstitch.figures.canvas import (
    FAINT,
    HEADING,
    INK,
    LABEL,
    MARGIN,
    SMALL,
    SOFT,
    canvas,
    chance_of,
    number,
    open_panel,
    own_accuracy,
    pair_name,
    panel,
    plain,
    write_title,
)

WIDTH, HEIGHT = 6.2, 2.9  # inches, as all that follow: a panel
LEFT, TOP, ABOVE, BELOW = 0.75, 0.75, 1.25, 0.6  # room left of the panels, over all, over and under each
RIGHT = 1.4  # for what the two horizontal lines are
NAME = 0.19  # between names of families
GUIDE = {"color": "#e6e8eb", "linewidth": 0.6, "zorder": 0}
COLOURS = {"task": "#0969da", "remapped": "#bc4c00"}
PAIR = ["sender", "receiver"]


@plain()
def draw(cells: pd.DataFrame, networks: pd.DataFrame) -> Figure:
    """Mean accuracy over the cells of a pair, by the mean capacity of a family's stitches.

    Args:
        cells: as `measures.capacity` gives them.
        networks: the networks table.

    Raises:
        ModelstitchError: if a network is missing from its table.
    """
    pairs = list(cells.groupby(PAIR, sort=False))
    step = ABOVE + HEIGHT + BELOW
    page = canvas(LEFT + WIDTH + RIGHT, TOP + len(pairs) * step)
    write_title(page, "Accuracy by what a stitch can express", "mean over a pair's cells · one dot per family")
    for place, ((sender, receiver), chosen) in enumerate(pairs):
        top = TOP + place * step + ABOVE
        name = pair_name(sender, receiver, networks.seed.nunique() > 1)
        page.text(MARGIN, top - ABOVE + 0.2, name, size=HEADING, color=INK, weight="bold", va="baseline")
        plot = panel(page, LEFT, top, WIDTH, HEIGHT)
        means = chosen.groupby(["objective", "family"], sort=False)[["capacity", "accuracy"]].mean().reset_index()
        _draw_means(plot, means)
        lines = {"chance": chance_of(networks), "the receiver alone": own_accuracy(networks, receiver)}
        for words, accuracy in lines.items():
            plot.axhline(accuracy, color=FAINT, linewidth=0.8, linestyle=":")
            text = f"{words} {number(accuracy)}"
            plot.annotate(
                text, (1.01, accuracy), xycoords=("axes fraction", "data"), size=SMALL, color=SOFT, va="center"
            )
    return page.figure


def _draw_means(plot: Axes, means: pd.DataFrame) -> None:
    """Dots of each objective, joined from the smallest capacity to the largest."""
    for objective, chosen in means.groupby("objective", sort=False):
        chosen = chosen.sort_values("capacity", kind="stable")
        style = {"color": COLOURS.get(objective, INK), "linewidth": 0.8, "marker": "o", "markersize": 4}
        plot.plot(chosen.capacity, chosen.accuracy, label=objective, **style)
    plot.set(xscale="log", ylim=(0, 1))
    plot.margins(x=0.04)
    plot.xaxis.set_minor_formatter(NullFormatter())
    _write_families(plot, means.drop_duplicates("family").set_index("family").capacity.sort_values(kind="stable"))
    open_panel(plot, length=3)
    plot.grid(axis="y", color="#e6e8eb", linewidth=0.6)
    plot.set_xlabel("mean capacity of a stitch (dimension of what it can express)", size=LABEL, color=SOFT)
    plot.set_ylabel("mean accuracy", size=LABEL, color=SOFT)
    plot.legend(frameon=False, fontsize=SMALL, labelcolor=SOFT, loc="upper left")


def _write_families(plot: Axes, capacities: pd.Series) -> None:
    """Names over the panel, in ascending order of capacity and moved apart, each with a line to its place."""
    low, high = np.log(plot.get_xlim())
    places, names = ((np.log(capacities) - low) / (high - low)).to_numpy(), capacities.index
    gap, last = NAME / WIDTH, len(names) - 1
    written = np.maximum.accumulate(places - gap * np.arange(last + 1)) + gap * np.arange(last + 1)
    written = np.minimum(written, 1 - gap * np.arange(last, -1, -1))
    for name, place, above in zip(names, places, written, strict=True):
        plot.plot([place, place, above], [0, 1, 1.05], transform=plot.transAxes, clip_on=False, **GUIDE)
        style = {"size": SMALL, "color": INK, "rotation": 50, "rotation_mode": "anchor", "va": "center"}
        plot.text(above, 1.07, name, transform=plot.transAxes, **style)
