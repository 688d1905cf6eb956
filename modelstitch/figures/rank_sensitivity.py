"""Figure of accuracy by the rank of the sender's representations, for a stitch and for a linear probe."""

import pandas as pd

from modelstitch.figures.canvas import (
    CHANCE,
    LINE,
    OWN,
    arranged,
    canvas,
    chance_of,
    draw_references,
    key_rows,
    open_panel,
    own_accuracy,
    pair_name,
    panel,
    space_ticks,
    unit_axis,
    write_key,
    write_lines,
)
from modelstitch.figures.palette import ROLES
from modelstitch.figures.paper import (
    HEADING,
    INK,
    MARGIN,
    NATURAL,
    SMALL,
    SOFT,
    Page,
    Paper,
    finish,
    plain,
    write_title,
)

PANEL, LEAST, GAP, ABOVE, BELOW = 1.5, 1.2, 0.25, 0.5, 0.75  # inches
LEFT, TOP = 0.7, 0.86
LINES = {"accuracy": ("stitch", ROLES["task"]), "probe_accuracy": ("linear probe", ROLES["probe"])}


@plain()
def draw(cells: pd.DataFrame, networks: pd.DataFrame, paper: Paper = NATURAL) -> Page:
    """Draw a row of panels per pair, one panel per sender layer: accuracies of stitch and probe by rank.

    Args:
        cells: what `measures.rank_sensitivity` returns, for all pairs.
        networks: the networks table.
        paper: what it is drawn for.

    Raises:
        ModelstitchError: if a network is missing from its table.
    """
    pairs = list(cells.groupby(["sender", "receiver"], sort=False))
    layers = [pair.groupby(["sender_layer", "receiver_layer"]) for _, pair in pairs]
    across, size = arranged(max(len(one) for one in layers), paper.room - LEFT - MARGIN, LEAST, PANEL, GAP)
    width = max(across * (size + GAP) - GAP, 2 * LEAST)
    key = {words: {"color": colour, "linewidth": 1.4} for words, colour in LINES.values()}
    key |= {"the receiver alone": OWN, "chance": CHANCE}
    top = TOP + LINE * len(key_rows(key, width))
    heights = [ABOVE + -(-len(one) // across) * (size + BELOW) for one in layers]
    page = canvas(LEFT + width + MARGIN, top + sum(heights))
    title = "Rank of the sender's representations"
    write_title(page, title, "accuracy by the principal components that are kept · sender layer → receiver layer")
    write_key(page, LEFT, TOP + 0.1, key, width)
    for ((sender, receiver), _), found, height in zip(pairs, layers, heights, strict=True):
        name = pair_name(sender, receiver, networks.seed.nunique() > 1)
        write_lines(page, LEFT, top + 0.2, name, width, size=HEADING, color=INK, weight="bold")
        for place, ((i, j), layer) in enumerate(found):
            first, row = place % across == 0, place // across
            axes = panel(page, LEFT + place % across * (size + GAP), top + ABOVE + row * (size + BELOW), size, size)
            for column, (_, colour) in LINES.items():
                axes.plot(layer["rank"], layer[column], color=colour, linewidth=1.4, marker=".")
            draw_references(axes, own_accuracy(networks, receiver), chance_of(networks))
            axes.set_xscale("log", base=2)
            space_ticks(axes, size)
            axes.set_ylim(0, 1.02)
            unit_axis(axes.yaxis)
            open_panel(axes, labelleft=first)
            axes.set_title(f"{i} → {j}", size=SMALL, loc="left")
            axes.set_xlabel("rank", size=SMALL, color=SOFT)
            if first:
                axes.set_ylabel("test accuracy", size=SMALL, color=SOFT)
        top += height
    return finish(page, paper)
