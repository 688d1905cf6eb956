"""Figure of accuracy against the capacity of a stitch: one panel per pair, one dot per family and objective."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from modelstitch.figures.canvas import (
    CHANCE,
    GUIDE,
    LINE,
    OWN,
    canvas,
    chance_of,
    draw_references,
    key_rows,
    open_panel,
    own_accuracy,
    pair_name,
    panel,
    unit_axis,
    write_key,
    write_lines,
)
from modelstitch.figures.palette import ROLES
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

WIDTH, HEIGHT = 6.2, 2.9  # inches, as all that follow: a panel
LEFT, TOP, ABOVE, BELOW = 0.75, 0.75, 1.25, 0.6  # room left of the panels, over all, over and under each
NAME, LEAN = 0.19, 50  # between names of families, and their degrees
CURVE = {"linewidth": 0.8, "marker": "o", "markersize": 4}
PAIR = ["sender", "receiver"]


@plain()
def draw(cells: pd.DataFrame, networks: pd.DataFrame, paper: Paper = NATURAL) -> Page:
    """Mean accuracy over the cells of a pair, by the mean capacity of a family's stitches.

    Args:
        cells: as `measures.capacity` gives them.
        networks: the networks table.
        paper: what it is drawn for.

    Raises:
        ModelstitchError: if a network is missing from its table.
    """
    pairs = list(cells.groupby(PAIR, sort=False))
    # Of the last name, which leans over the right edge.
    beside = math.cos(math.radians(LEAN)) * max(text_width(family, SMALL) for family in cells.family.unique())
    width = min(WIDTH, paper.room - LEFT - MARGIN - beside)
    known = {objective: {"color": ROLES[objective], **CURVE} for objective in dict.fromkeys(cells.objective)}
    key = known | {"the receiver alone": OWN, "chance": CHANCE}
    first = TOP + LINE * len(key_rows(key, width))
    step = ABOVE + HEIGHT + BELOW
    page = canvas(LEFT + width + beside + MARGIN, first + len(pairs) * step)
    write_title(page, "Accuracy by what a stitch can express", "mean over a pair's cells · one dot per family")
    write_key(page, LEFT, TOP + 0.1, key, width)
    for place, ((sender, receiver), chosen) in enumerate(pairs):
        top = first + place * step + ABOVE
        name = pair_name(sender, receiver, networks.seed.nunique() > 1)
        write_lines(page, MARGIN, top - ABOVE + 0.2, name, width + LEFT, size=HEADING, color=INK, weight="bold")
        plot = panel(page, LEFT, top, width, HEIGHT)
        means = chosen.groupby(["objective", "family"], sort=False)[["capacity", "accuracy"]].mean().reset_index()
        _draw_means(plot, means, width)
        draw_references(plot, own_accuracy(networks, receiver), chance_of(networks))
    return finish(page, paper)


def _draw_means(plot: Axes, means: pd.DataFrame, width: float) -> None:
    """Draw the dots of each objective, joined in order of capacity."""
    for objective, chosen in means.groupby("objective", sort=False):
        chosen = chosen.sort_values("capacity", kind="stable")
        plot.plot(chosen.capacity, chosen.accuracy, label=objective, color=ROLES[objective], **CURVE)
    plot.set(xscale="log", ylim=(0, 1))
    plot.margins(x=0.04)
    plot.xaxis.set_minor_formatter(NullFormatter())
    _write_families(
        plot, means.drop_duplicates("family").set_index("family").capacity.sort_values(kind="stable"), width
    )
    open_panel(plot, length=3)
    unit_axis(plot.yaxis)
    plot.grid(axis="y", **GUIDE)
    plot.set_xlabel("mean capacity of a stitch (dimensions)", size=LABEL, color=SOFT)
    plot.set_ylabel("mean accuracy", size=LABEL, color=SOFT)


def _write_families(plot: Axes, capacities: pd.Series, width: float) -> None:
    """Write the families' names above the panel in order of capacity, moved apart, each with a line to its dot."""
    low, high = np.log(plot.get_xlim())
    places, names = ((np.log(capacities) - low) / (high - low)).to_numpy(), capacities.index
    gap, last = NAME / width, len(names) - 1
    written = np.maximum.accumulate(places - gap * np.arange(last + 1)) + gap * np.arange(last + 1)
    written = np.minimum(written, 1 - gap * np.arange(last, -1, -1))
    for name, place, above in zip(names, places, written, strict=True):
        plot.plot([place, place, above], [0, 1, 1.05], transform=plot.transAxes, clip_on=False, zorder=0, **GUIDE)
        style = {"size": SMALL, "color": INK, "rotation": LEAN, "rotation_mode": "anchor", "va": "center"}
        plot.text(above, 1.07, name, transform=plot.transAxes, **style)
