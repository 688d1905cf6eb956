"""Pictures of the images that stitches into the receiver's input make, and of what they are like by layer."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from modelstitch.analysis.depth import relative_depth
from modelstitch.figures.canvas import (
    FAILED,
    FAINT,
    HEADING,
    INK,
    LABEL,
    MARGIN,
    SMALL,
    SOFT,
    canvas,
    number,
    pair_name,
    panel,
    plain,
    rows_with,
    save,
    short_name,
    text_width,
    write_title,
)
from modelstitch.identifiers import NetworkId
from modelstitch.records.images import read as read_images

# Inches, as all that follow; at 200 dots per inch, an image of 32 pixels is three times as large.
IMAGE, GAP = 0.48, 0.04
NUMBERS = {"receiver": "read_by_receiver", "sender": "read_by_sender", "PSNR": "psnr", "SSIM": "ssim"}
NUMBER = 0.6
PANEL_WIDTH, PANEL_HEIGHT = 2.9, 1.75
PANELS = {"read_by_receiver": "accuracy of the receiver", "psnr": "PSNR (dB)", "ssim": "SSIM"}
POINTS = 101


@plain()
def draw_images(table: pd.DataFrame, images: Mapping[str, Path | str], sender: str, receiver: str) -> Figure:
    """The originals, and below them for each objective one row of generated images per sender layer, with its numbers.

    Args:
        table: `tables/generated_images.csv`.
        images: file of the generated images, by objective.
        sender, receiver: an ordered pair of the table.

    Raises:
        ModelstitchError: if the table lacks the pair.
    """
    seeds = {NetworkId.parse(network).seed for network in pd.unique(table[["sender", "receiver"]].to_numpy().ravel())}
    table = rows_with(table, sender=sender, receiver=receiver)
    blocks = {objective: rows for objective, rows in table.groupby("objective", sort=False)}  # noqa: C416
    own = table.iloc[0]
    originals = read_images(images[own.objective]).originals
    (_, _, height, width), step = originals.shape, IMAGE + GAP
    across = IMAGE * width / height
    names = dict(zip(table.sender_layer, table.sender_layer_name, strict=True))
    labels = {layer: f"{short_name(layer, names)}  {layer}".strip() for layer in names}
    left = 0.48 + max(text_width(label, SMALL) for label in labels.values())
    top, heading = 1.16, 0.44
    numbers = left + len(originals) * (across + GAP)
    title = pair_name(sender, receiver, len(seeds) > 1)
    subtitle = f"images from the sender's layers · PSNR and SSIM over {own.images} test images"
    right = max(numbers + len(NUMBERS) * NUMBER, MARGIN + text_width(subtitle, LABEL))
    axes = canvas(right + MARGIN, top + step * (1 + len(table)) + heading * len(blocks) + MARGIN)
    write_title(axes, title, subtitle)
    _write_headings(axes, numbers, top)
    _draw_row(axes, originals, left, top, across)
    _write_row(axes, "", {"receiver": own.receiver_accuracy, "sender": own.sender_accuracy}, left, numbers, top)
    y = top + step
    for objective, rows in blocks.items():
        axes.text(left, y + heading - 0.12, f"{objective} stitches", size=HEADING, color=INK, weight="bold")
        y += heading
        middle = y + (len(rows) * step - GAP) / 2
        axes.text(MARGIN + 0.02, middle, "sender layer", size=LABEL, color=SOFT, rotation=90, ha="center", va="center")
        shown = read_images(images[objective])
        generated = dict(zip(shown.sender_layers, shown.generated, strict=True))
        for row in rows.itertuples():
            failed = math.isnan(row.psnr)
            _draw_row(axes, generated[row.sender_layer], left, y, across, failed)
            values = {heading: getattr(row, column) for heading, column in NUMBERS.items()}
            _write_row(axes, labels[row.sender_layer], values, left, numbers, y)
            y += step
    return axes.figure


def _write_headings(axes: Axes, left: float, top: float) -> None:
    style = {"size": SMALL, "color": SOFT, "ha": "right", "va": "baseline"}
    axes.text(left + 2 * NUMBER, top - 0.26, "accuracy of the", **style)
    for place, heading in enumerate(NUMBERS, start=1):
        axes.text(left + place * NUMBER, top - 0.1, heading, **style)


def _draw_row(axes: Axes, images: np.ndarray, left: float, top: float, across: float, failed: bool = False) -> None:
    """Images, uint8 (N, C, H, W), beside each other; those of a failed stitch hatched."""
    for place, image in enumerate(images):
        x = left + place * (across + GAP)
        if failed:
            axes.add_patch(Rectangle((x, top), across, IMAGE, **FAILED))
            continue
        pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
        extent = {"extent": (x, x + across, top + IMAGE, top), "aspect": "auto", "interpolation": "nearest"}
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, **extent)


def _write_row(axes: Axes, layer: str, values: Mapping[str, float], left: float, numbers: float, top: float) -> None:
    middle = top + IMAGE / 2
    axes.text(left - 0.08, middle, layer, size=SMALL, color=SOFT, ha="right", va="center_baseline")
    for place, (name, value) in enumerate(values.items(), start=1):
        text = f"{value:.1f}" if name == "PSNR" and not math.isnan(value) else number(value)
        text = "∞" if math.isinf(value) else text
        style = {"size": LABEL, "color": INK, "ha": "right", "va": "center_baseline"}
        axes.text(numbers + place * NUMBER, middle, text, **style)


@plain()
def draw_metrics(table: pd.DataFrame, networks: pd.DataFrame, colormap: str) -> Figure:
    """Accuracy, PSNR and SSIM of the generated images against the sender's layer: one column of panels per objective.

    A thin line is a pair, a thick one the mean over the pairs of two recipes, whose lines are straight between layers.

    Args:
        table: `tables/generated_images.csv`.
        networks: `tables/networks.csv`.
        colormap: of the lines, a colour for each two recipes.
    """
    table = table.replace(math.inf, math.nan)  # an image that is reproduced exactly is off every scale
    depths = [relative_depth(row.sender_layer, row.sender_layer_count) for row in table.itertuples()]
    table = table.assign(depth=depths, recipes=table.sender_recipe + " → " + table.receiver_recipe)
    objectives, recipes = table.objective.unique(), table.recipes.unique()
    colours = dict(zip(recipes, matplotlib.colormaps[colormap](np.linspace(0, 0.8, len(recipes))), strict=True))
    limits = {"read_by_receiver": 1, "psnr": 1.08 * np.nanmax([table.psnr.max(), 1]), "ssim": 1}
    left, top, gap = 0.85, 1.22, 0.22
    right = left + len(objectives) * (PANEL_WIDTH + gap)
    bottom = top + len(PANELS) * (PANEL_HEIGHT + gap) - gap
    beside = 0.36 + max(text_width(name, LABEL) for name in [*recipes, "receiver, originals"])
    page = canvas(right + beside + MARGIN, bottom + 0.45 + MARGIN)
    write_title(page, "Images from the sender's layers", "thin: a pair · thick: the mean over the pairs of two recipes")
    words = {"size": LABEL, "color": SOFT, "ha": "center"}
    for place, objective in enumerate(objectives):
        x = left + place * (PANEL_WIDTH + gap)
        page.text(x, top - 0.12, f"{objective} stitches", size=HEADING, color=INK, weight="bold", va="baseline")
        page.text(x + PANEL_WIDTH / 2, bottom + 0.26, "sender layer, relative depth", va="top", **words)
        for down, name in enumerate(PANELS):
            axes = _panel(page, x, top + down * (PANEL_HEIGHT + gap), limits[name])
            axes.tick_params(labelleft=place == 0, labelbottom=down == len(PANELS) - 1)
            for which, rows in table[table.objective == objective].groupby("recipes", sort=False):
                _draw_lines(axes, rows, name, colours[which])
                if name == "read_by_receiver":
                    own = rows.drop_duplicates("receiver").receiver_accuracy.mean()
                    axes.axhline(own, color=colours[which], linewidth=1, linestyle="dotted")
            if name == "read_by_receiver":
                axes.axhline(1 / int(networks.classes.iloc[0]), color=FAINT, linewidth=0.8, linestyle=(0, (5, 4)))
    for down, label in enumerate(PANELS.values()):
        middle = top + down * (PANEL_HEIGHT + gap) + PANEL_HEIGHT / 2
        page.text(left - 0.5, middle, label, rotation=90, va="center", **words)
    lines = [(name, colours[name], "solid", 2.2) for name in recipes]
    lines += [("receiver, originals", SOFT, "dotted", 1), ("chance", FAINT, (0, (5, 4)), 0.8)]
    for place, (name, colour, dashes, width) in enumerate(lines):
        y = top + 0.1 + place * 0.22
        page.plot([right, right + 0.26], [y, y], color=colour, linestyle=dashes, linewidth=width)
        page.text(right + 0.36, y, name, size=LABEL, color=INK, va="center_baseline")
    return page.figure


def _panel(page: Axes, left: float, top: float, highest: float) -> Axes:
    """Axes of one panel, from relative depth 0 to 1."""
    axes = panel(page, left, top, PANEL_WIDTH, PANEL_HEIGHT)
    axes.set(xlim=(-0.03, 1.03), ylim=(0, highest), xticks=(0, 0.25, 0.5, 0.75, 1))
    axes.set_xticklabels(("0", ".25", ".5", ".75", "1"))
    axes.tick_params(length=2.5, labelsize=SMALL, labelcolor=SOFT, color=FAINT)
    axes.spines[:].set(color=FAINT, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _draw_lines(axes: Axes, rows: pd.DataFrame, name: str, colour: np.ndarray) -> None:
    """One line per pair, and their mean; a layer without a result is left out."""
    points = np.linspace(0, 1, POINTS)
    values = []
    for _, pair in rows.dropna(subset=name).groupby(["sender", "receiver"]):
        axes.plot(pair.depth, pair[name], color=colour, linewidth=0.6, alpha=0.5)
        values.append(np.interp(points, pair.depth, pair[name], left=math.nan, right=math.nan))
    if values:
        axes.plot(points, np.nanmean(values, axis=0), color=colour, linewidth=2.2)


def draw_all(
    table: pd.DataFrame,
    networks: pd.DataFrame,
    images: Path | str,
    folder: Path | str,
    colormap: str,
    formats: Sequence[str],
) -> None:
    """Draw the images of every pair, and what they are like by layer.

    The files are `<folder>/generated_images/<sender>/<receiver>.<format>` and `<folder>/generated_images.<format>`.

    Args:
        table: `tables/generated_images.csv`.
        networks: `tables/networks.csv`.
        images: folder of the generated images, `<objective>/<sender>/<receiver>.h5`.
        folder: of the figures.
        colormap, formats: as the study says.

    Raises:
        ModelstitchError: if a file can't be written.
    """
    for (sender, receiver), pair in table.groupby(["sender", "receiver"], sort=False):
        files = {objective: Path(images, objective, sender, f"{receiver}.h5") for objective in pair.objective}
        figure = draw_images(table, files, sender, receiver)
        save(figure, [Path(folder, "generated_images", sender, f"{receiver}.{kind}") for kind in formats])
    save(draw_metrics(table, networks, colormap), [Path(folder, f"generated_images.{kind}") for kind in formats])
