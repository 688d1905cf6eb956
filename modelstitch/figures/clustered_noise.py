"""Picture of how accurate stitches from noise are, by layer of the receiver."""

import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, MultipleLocator

from modelstitch.figures.canvas import (
    INK,
    LABEL,
    MARGIN,
    SMALL,
    SOFT,
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

PANEL, ACROSS, GAP, BELOW = 2.0, 4, 0.35, 0.85  # inches
LEFT, TOP = 0.7, 1.3


@plain()
def draw(cells: pd.DataFrame, networks: pd.DataFrame) -> Figure:
    """A panel for each receiver, a line for each sigma: solid for its classes, dashed for remapped ones.

    Args:
        cells: as `measures.clustered_noise` gives them, of all receivers.
        networks: the networks table.

    Raises:
        ModelstitchError: if a network is missing from its table.
    """
    receivers = list(dict.fromkeys(cells.receiver))
    sigmas = sorted(cells.sigma.unique())
    colours = {
        sigma: colormaps["viridis"](0.85 * place / max(1, len(sigmas) - 1)) for place, sigma in enumerate(sigmas)
    }
    subtitle = "solid: the receiver's classes · dashed: exchanged ones · grey: the receiver itself · dotted: chance"
    across, down = min(ACROSS, len(receivers)), -(-len(receivers) // ACROSS)
    width = max(LEFT + across * (PANEL + GAP) - GAP, MARGIN + text_width(subtitle, LABEL)) + MARGIN
    page = canvas(width, TOP + down * (PANEL + BELOW) - 0.2)
    write_title(page, "Clustered noise as the sender", subtitle)
    write_key(page, LEFT, TOP - 0.42, {f"sigma {sigma:g}": colour for sigma, colour in colours.items()})
    for place, receiver in enumerate(receivers):
        left, top = LEFT + place % ACROSS * (PANEL + GAP), TOP + place // ACROSS * (PANEL + BELOW)
        axes = panel(page, left, top, PANEL, PANEL)
        for sigma, found in cells[cells.receiver == receiver].groupby("sigma"):
            for column, style in (("accuracy", "-"), ("remapped_accuracy", "--")):
                axes.plot(found.receiver_layer, found[column], style, color=colours[sigma], linewidth=1.4, marker=".")
        draw_references(axes, own_accuracy(networks, receiver), chance_of(networks))
        _style(axes, receiver, first=place % ACROSS == 0)
    return page.figure


def _style(axes: Axes, receiver: str, first: bool) -> None:
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_locator(MultipleLocator(0.2))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(labelsize=SMALL, labelcolor=SOFT, labelleft=first)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(receiver, size=LABEL, color=INK)
    axes.set_xlabel("receiver's layer", size=SMALL, color=SOFT)
    if first:
        axes.set_ylabel("test accuracy", size=SMALL, color=SOFT)
