"""Picture of how accuracy falls with the rank of the sender's representations, beside a probe's."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator, NullFormatter, ScalarFormatter

from modelstitch.figures.canvas import (
    MARGIN,
    SMALL,
    SOFT,
    TITLE,
    canvas,
    chance_of,
    draw_references,
    own_accuracy,
    panel,
    plain,
    text_width,
    write_key,
    write_title,
)

PANEL, GAP, BELOW = 1.5, 0.25, 0.85  # inches
LEFT, TOP = 0.7, 1.3
LINES = {"accuracy": ("#0969da", "stitch"), "probe_accuracy": ("#bc4c00", "linear probe")}


@plain()
def draw(cells: pd.DataFrame, networks: pd.DataFrame) -> Figure:
    """A row of panels for each pair, one for each sender layer: both accuracies by rank.

    Args:
        cells: as `measures.rank_sensitivity` gives them, of all pairs.
        networks: the networks table.

    Raises:
        ModelstitchError: if a network is missing from its table.
    """
    pairs = list(cells.groupby(["sender", "receiver"], sort=False))
    across = max(pair.sender_layer.nunique() for _, pair in pairs)
    title = "Rank of the sender's representations"
    width = max(LEFT + across * (PANEL + GAP), MARGIN + text_width(title, TITLE, "bold")) + MARGIN
    page = canvas(width, TOP + len(pairs) * (PANEL + BELOW) - 0.2)
    write_title(page, title, "grey: the receiver itself · dotted: chance")
    write_key(page, LEFT, TOP - 0.5, {words: colour for colour, words in LINES.values()})
    for row, ((sender, receiver), pair) in enumerate(pairs):
        for column, ((i, j), layer) in enumerate(pair.groupby(["sender_layer", "receiver_layer"])):
            axes = panel(page, LEFT + column * (PANEL + GAP), TOP + row * (PANEL + BELOW), PANEL, PANEL)
            for name, (colour, _) in LINES.items():
                axes.plot(layer["rank"], layer[name], color=colour, linewidth=1.4, marker=".")
            draw_references(axes, own_accuracy(networks, receiver), chance_of(networks))
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter(ScalarFormatter())
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.set_ylim(0, 1.02)
            axes.yaxis.set_major_locator(MultipleLocator(0.2))
            axes.tick_params(labelsize=SMALL, labelcolor=SOFT, labelleft=column == 0)
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_title(f"{sender} → {receiver}, {i} → {j}" if not column else f"{i} → {j}", size=SMALL, loc="left")
            axes.set_xlabel("rank", size=SMALL, color=SOFT)
            if not column:
                axes.set_ylabel("test accuracy", size=SMALL, color=SOFT)
    return page.figure
