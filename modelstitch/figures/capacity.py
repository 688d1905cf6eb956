"""Picture of accuracy by what a stitch can express: one panel per pair, one dot per family and objective."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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
    own_accuracy,
    pair_name,
    panel,
    write_title,
)

WIDTH, HEIGHT = 6.2, 2.9  # inches, as all that follow: a panel
LEFT, TOP, ABOVE, BELOW = 0.75, 0.75, 0.35, 0.6  # room left of the panels, over all, over and under each
COLOURS = {"task": "#0969da", "remapped": "#bc4c00"}
PAIR = ["sender", "receiver"]


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
    page = canvas(LEFT + WIDTH + 2 * MARGIN, TOP + len(pairs) * step)
    write_title(page, "Accuracy by what a stitch can express", "mean over a pair's cells · one dot per family")
    for place, ((sender, receiver), chosen) in enumerate(pairs):
        top = TOP + place * step + ABOVE
        name = pair_name(sender, receiver, networks.seed.nunique() > 1)
        page.text(LEFT, top - 0.12, name, size=HEADING, color=INK, weight="bold", va="baseline")
        plot = panel(page, LEFT, top, WIDTH, HEIGHT)
        means = chosen.groupby(["objective", "family"], sort=False)[["capacity", "accuracy"]].mean().reset_index()
        _draw_means(plot, means)
        lines = {"chance": chance_of(networks), "the receiver alone": own_accuracy(networks, receiver)}
        for words, accuracy in lines.items():
            plot.axhline(accuracy, color=FAINT, linewidth=0.8, linestyle=":")
            text = f"{words} {number(accuracy)}"
            plot.annotate(text, (1, accuracy), xycoords=("axes fraction", "data"), size=SMALL, color=SOFT, ha="right")
    return page.figure


def _draw_means(plot: Axes, means: pd.DataFrame) -> None:
    """Dots of each objective, joined from the smallest capacity to the largest; families by name, over the first's."""
    highest = means.groupby("family").accuracy.max()
    for objective, chosen in means.groupby("objective", sort=False):
        chosen = chosen.sort_values("capacity", kind="stable")
        style = {"color": COLOURS.get(objective, INK), "linewidth": 0.8, "marker": "o", "markersize": 4}
        plot.plot(chosen.capacity, chosen.accuracy, label=objective, **style)
    for index, (family, accuracy) in enumerate(highest[_by_capacity(means)].items()):
        at = means.capacity[means.family == family].iloc[0], accuracy
        offset = {"xytext": (0, 5 + 9 * (index % 2)), "textcoords": "offset points"}
        plot.annotate(family, at, size=SMALL, color=INK, ha="center", **offset)
    plot.set(xscale="log", ylim=(0, 1.08))
    plot.margins(x=0.08)
    plot.tick_params(labelsize=SMALL, labelcolor=SOFT, color=FAINT, length=3)
    plot.grid(axis="y", color="#e6e8eb", linewidth=0.6)
    plot.spines[["top", "right"]].set_visible(False)
    plot.spines[["left", "bottom"]].set_color(FAINT)
    plot.set_xlabel("mean capacity of a stitch (dimension of what it can express)", size=LABEL, color=SOFT)
    plot.set_ylabel("mean accuracy", size=LABEL, color=SOFT)
    plot.legend(frameon=False, fontsize=SMALL, labelcolor=SOFT, loc="lower right")


def _by_capacity(means: pd.DataFrame) -> list[str]:
    return list(means.drop_duplicates("family").sort_values("capacity", kind="stable").family)
