"""Tables of a study to draw, and what a figure shows."""

import itertools

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.text import Text

from modelstitch.identifiers import NetworkId
from modelstitch.networks.small_resnet import blocks

CONTROLS = tuple(itertools.product(("trained", "random"), repeat=2))
# Of the layers of a vision transformer, as torchvision calls them.
NAMES = ["conv_proj", "encoder.layers.encoder_layer_0", "encoder.layers.encoder_layer_1"]


def count_layers(architecture):
    """Of a Small ResNet."""
    return 1 + len(blocks(architecture, width=1))


def make_tables(names=("R1111", "R1112", "R1122"), seeds=(0,), combinations=CONTROLS, classes=10):
    """Matrices with the paper's triangle: good on and below the diagonal of relative depth, falling above it."""
    ids = [NetworkId(*one) for one in itertools.product(names, ("trained", "random"), seeds)]
    networks = pd.DataFrame([(str(one), *one, 0.9 if one.recipe == "trained" else 0.1, classes) for one in ids])
    networks.columns = ["network", "architecture", "recipe", "seed", "accuracy", "classes"]
    rows = []
    for sender, receiver in itertools.product(ids, repeat=2):
        if (sender.recipe, receiver.recipe) not in combinations:
            continue
        deep, wide = (count_layers(one.architecture) for one in (sender, receiver))
        for i, j in itertools.product(range(deep), range(wide)):
            accuracy = (0.93 if receiver.recipe == "trained" else 0.3) * (1 - max(0, j / (wide - 1) - i / (deep - 1)))
            layers = (i, f"layers.{i}", deep, j, f"layers.{j}", wide)
            rows.append(("task", str(sender), *sender, str(receiver), *receiver, *layers, accuracy, False))
    cells = pd.DataFrame(rows, columns=[
        "objective", "sender", "sender_architecture", "sender_recipe", "sender_seed",
        "receiver", "receiver_architecture", "receiver_recipe", "receiver_seed",
        "sender_layer", "sender_layer_name", "sender_layer_count",
        "receiver_layer", "receiver_layer_name", "receiver_layer_count", "accuracy", "diverged",
    ])  # fmt: skip
    return cells.assign(excess_over_remapped=np.nan), networks


def texts(figure):
    """All that is written on the canvas, in the order of writing."""
    return [text.get_text() for text in figure.axes[0].texts]


def boxes(figure):
    """Where all of that lies, in pixels, in the same order, once it is seen to lie within the page."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    page = figure.get_window_extent(renderer)
    found = [text.get_window_extent(renderer) for text in figure.axes[0].texts]
    for box in found:
        assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1
    return found


def colours(figure):
    """Fill colours of the cells by their upper left corner, in inches."""
    return {
        tuple(np.round(path.vertices[0], 6)): tuple(colour)
        for collection in figure.axes[0].collections
        if isinstance(collection, PolyCollection) and len(collection.get_facecolors())
        for path, colour in zip(collection.get_paths(), collection.get_facecolors(), strict=True)
    }


def written(figure):
    """Every text of a figure that is drawn, its panels' among them, with its place in pixels."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)  # which makes the labels of the ticks
    hidden = {
        id(label)
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for ticks in (axis.get_major_ticks(), axis.get_minor_ticks())
        for tick in ticks
        for label in (tick.label1, tick.label2)
        if not axes.axison or not label.get_visible() or not _within(tick.get_loc(), axis.get_view_interval())
    }
    shown = [one for one in figure.findobj(Text) if one.get_visible() and one.get_text() and id(one) not in hidden]
    return [(one, one.get_window_extent(renderer)) for one in shown]


def _within(value, interval):
    return min(interval) - 1e-9 <= value <= max(interval) + 1e-9
