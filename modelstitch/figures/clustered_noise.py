"""Figure of the accuracy of stitches from noise, by layer of the receiver."""

import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from modelstitch.figures.canvas import (
    CHANCE,
    LINE,
    OWN,
    arranged,
    canvas,
    chance_of,
    draw_references,
    key_rows,
    network_name,
    open_panel,
    own_accuracy,
    panel,
    unit_axis,
    write_key,
)
from modelstitch.figures.paper import INK, LABEL, MARGIN, NATURAL, SMALL, SOFT, Page, Paper, finish, plain, write_title

PANEL, LEAST, ACROSS, GAP, BELOW = 2.0, 1.4, 4, 0.35, 0.85  # inches
LEFT, TOP = 0.7, 0.86


@plain()
def draw(cells: pd.DataFrame, networks: pd.DataFrame, paper: Paper = NATURAL) -> Page:
    """Draw a panel for each receiver and a line for each sigma: solid for its own classes, dashed for remapped ones.

    Args:
        cells: as `measures.clustered_noise` gives them, of all receivers.
        networks: the networks table.
        paper: what it is drawn for.

    Raises:
        ModelstitchError: if a network is missing from its table.
    """
    receivers = list(dict.fromkeys(cells.receiver))
    sigmas = sorted(cells.sigma.unique())
    colours = {
        sigma: colormaps["viridis"](0.85 * place / max(1, len(sigmas) - 1)) for place, sigma in enumerate(sigmas)
    }
    subtitle = "solid: the receiver's classes · dashed: exchanged ones"
    across, size = arranged(min(ACROSS, len(receivers)), paper.room - LEFT - MARGIN, LEAST, PANEL, GAP)
    width = max(across * (size + GAP) - GAP, LEAST)
    key = {f"sigma {sigma:g}": {"color": colour, "linewidth": 1.4} for sigma, colour in colours.items()}
    key |= {"the receiver alone": OWN, "chance": CHANCE}
    first = TOP + LINE * len(key_rows(key, width)) + 0.24
    down = -(-len(receivers) // across)
    page = canvas(LEFT + width + MARGIN, first + down * (size + BELOW) - 0.2)
    write_title(page, "Clustered noise as the sender", subtitle)
    write_key(page, LEFT, TOP + 0.1, key, width)
    for place, receiver in enumerate(receivers):
        left, top = LEFT + place % across * (size + GAP), first + place // across * (size + BELOW)
        axes = panel(page, left, top, size, size)
        for sigma, found in cells[cells.receiver == receiver].groupby("sigma"):
            for column, style in (("accuracy", "-"), ("remapped_accuracy", "--")):
                axes.plot(found.receiver_layer, found[column], style, color=colours[sigma], linewidth=1.4, marker=".")
        draw_references(axes, own_accuracy(networks, receiver), chance_of(networks))
        name = network_name(receiver, networks.seed.nunique() > 1)
        _style(axes, name, first=place % across == 0)
    return finish(page, paper)


def _style(axes: Axes, title: str, first: bool) -> None:
    axes.set_ylim(0, 1.02)
    unit_axis(axes.yaxis)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    open_panel(axes, labelleft=first)
    axes.set_title(title, size=LABEL, color=INK)
    axes.set_xlabel("receiver's layer", size=SMALL, color=SOFT)
    if first:
        axes.set_ylabel("test accuracy", size=SMALL, color=SOFT)
