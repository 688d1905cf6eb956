"""Figures of the images that stitches into the receiver's input generate, and of their quality by layer."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from modelstitch.analysis.depth import relative_depth
from modelstitch.figures.canvas import (
    CHANCE,
    FAILED,
    LINE,
    OWN,
    canvas,
    chance_of,
    draw_references,
    key_rows,
    number,
    open_panel,
    pair_name,
    panel,
    rows_with,
    short_name,
    unit_axis,
    write_key,
)
from modelstitch.figures.palette import of_recipes
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
    save,
    text_width,
    write_title,
)
from modelstitch.identifiers import NetworkId
from modelstitch.records.images import read as read_images

# Inches, as all that follow; at 200 dots per inch, an image of 32 pixels is three times as large.
IMAGE, LEAST, GAP = 0.48, 0.3, 0.04
NUMBERS = {"receiver": "read_by_receiver", "sender": "read_by_sender", "PSNR": "psnr", "SSIM": "ssim"}
NUMBER = 0.6
PANEL_WIDTH, PANEL_HEIGHT = 2.9, 1.75
PANELS = {"read_by_receiver": "accuracy of the receiver", "psnr": "PSNR (dB)", "ssim": "SSIM"}
POINTS = 101


@plain()
def draw_images(
    table: pd.DataFrame, images: Mapping[str, Path | str], sender: str, receiver: str, paper: Paper = NATURAL
) -> Page:
    """Draw the originals and, for each objective, a row of generated images per sender layer with its measures.

    Args:
        table: `tables/generated_images.csv`.
        images: the file of generated images of each objective.
        sender, receiver: an ordered pair of the table.
        paper: what it is drawn for: a narrow one shows smaller images, and fewer of them.

    Raises:
        ModelstitchError: if the table lacks the pair.
    """
    seeds = {NetworkId.parse(network).seed for network in pd.unique(table[["sender", "receiver"]].to_numpy().ravel())}
    table = rows_with(table, sender=sender, receiver=receiver)
    blocks = {objective: rows for objective, rows in table.groupby("objective", sort=False)}  # noqa: C416
    own = table.iloc[0]
    originals = read_images(images[own.objective], (own.objective, sender, receiver)).originals
    (_, _, height, width) = originals.shape
    names = dict(zip(table.sender_layer, table.sender_layer_name, strict=True))
    labels = {layer: f"{short_name(layer, names)}  {layer}".strip() for layer in names}
    left = 0.48 + max(text_width(label, SMALL) for label in labels.values())
    top, heading, beside = 1.16, 0.44, len(NUMBERS) * NUMBER + MARGIN
    count, across = arranged_in_row(len(originals), paper.room - left - beside, width / height)
    originals, image = originals[:count], across * height / width
    step = image + GAP
    numbers = left + len(originals) * (across + GAP)
    title = pair_name(sender, receiver, len(seeds) > 1)
    subtitle = f"images from the sender's layers · PSNR and SSIM over {own.images} test images"
    axes = canvas(numbers + beside, top + step * (1 + len(table)) + heading * len(blocks) + MARGIN)
    write_title(axes, title, subtitle)
    _write_headings(axes, numbers, top)
    _draw_row(axes, originals, left, top, across, image)
    _write_row(
        axes, "", {"receiver": own.receiver_accuracy, "sender": own.sender_accuracy}, left, numbers, top + image / 2
    )
    y = top + step
    for objective, rows in blocks.items():
        axes.text(left, y + heading - 0.12, f"{objective} stitches", size=HEADING, color=INK, weight="bold")
        y += heading
        middle = y + (len(rows) * step - GAP) / 2
        axes.text(MARGIN + 0.02, middle, "sender layer", size=LABEL, color=SOFT, rotation=90, ha="center", va="center")
        shown = read_images(images[objective], (objective, sender, receiver))
        generated = dict(zip(shown.sender_layers, shown.generated, strict=True))
        for row in rows.itertuples():
            failed = math.isnan(row.psnr)
            _draw_row(axes, generated[row.sender_layer][:count], left, y, across, image, failed)
            values = {heading: getattr(row, column) for heading, column in NUMBERS.items()}
            _write_row(axes, labels[row.sender_layer], values, left, numbers, y + image / 2)
            y += step
    return finish(axes, paper)


def arranged_in_row(count: int, room: float, aspect: float) -> tuple[int, float]:
    """How many images to place in a row, and their width: as many as fit without being too small."""
    if math.isinf(room):
        return count, IMAGE * aspect
    shown = max(1, min(count, int(room // (LEAST * aspect + GAP))))
    return shown, min(IMAGE * aspect, room / shown - GAP)


def _write_headings(axes: Axes, left: float, top: float) -> None:
    style = {"size": SMALL, "color": SOFT, "ha": "right", "va": "baseline"}
    axes.text(left + 2 * NUMBER, top - 0.26, "accuracy of the", **style)
    for place, heading in enumerate(NUMBERS, start=1):
        axes.text(left + place * NUMBER, top - 0.1, heading, **style)


def _draw_row(
    axes: Axes, images: np.ndarray, left: float, top: float, across: float, high: float, failed: bool = False
) -> None:
    """Draw images, uint8 (N, C, H, W), side by side; hatched squares in place of those of a failed stitch."""
    for place, image in enumerate(images):
        x = left + place * (across + GAP)
        if failed:
            axes.add_patch(Rectangle((x, top), across, high, **FAILED))
            continue
        pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
        extent = {"extent": (x, x + across, top + high, top), "aspect": "auto", "interpolation": "nearest"}
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, **extent)


def _write_row(axes: Axes, layer: str, values: Mapping[str, float], left: float, numbers: float, middle: float) -> None:
    axes.text(left - 0.08, middle, layer, size=SMALL, color=SOFT, ha="right", va="center_baseline")
    for place, (name, value) in enumerate(values.items(), start=1):
        text = f"{value:.1f}" if name == "PSNR" and not math.isnan(value) else number(value)
        text = "∞" if math.isinf(value) else text
        style = {"size": LABEL, "color": INK, "ha": "right", "va": "center_baseline"}
        axes.text(numbers + place * NUMBER, middle, text, **style)


@plain()
def draw_metrics(table: pd.DataFrame, networks: pd.DataFrame, paper: Paper = NATURAL) -> Page:
    """Draw accuracy, PSNR and SSIM of the generated images by sender layer: one column of panels per objective.

    A thin line is one pair. A thick line is the mean over the pairs of two recipes, interpolated between layers.

    Args:
        table: `tables/generated_images.csv`.
        networks: `tables/networks.csv`.
        paper: what it is drawn for.
    """
    table = table.replace(math.inf, math.nan)  # an image that is reproduced exactly is off every scale
    depths = [relative_depth(row.sender_layer, row.sender_layer_count) for row in table.itertuples()]
    table = table.assign(depth=depths, recipes=table.sender_recipe + " → " + table.receiver_recipe)
    objectives = table.objective.unique()
    both = table[["sender_recipe", "receiver_recipe"]].drop_duplicates()
    colours = {" → ".join(pair): of_recipes(*pair) for pair in both.itertuples(index=False)}
    limits = {"read_by_receiver": 1, "psnr": 1.08 * np.nanmax([table.psnr.max(), 1]), "ssim": 1}
    left, gap = 0.85, 0.22
    width = min(PANEL_WIDTH, (paper.room - left - MARGIN + gap) / len(objectives) - gap)
    right = left + len(objectives) * (width + gap) - gap
    key = {name: {"color": colour, "linewidth": 2.2} for name, colour in colours.items()}
    key |= {"the receivers on the originals": OWN, "chance": CHANCE}
    top = 1.2 + LINE * len(key_rows(key, right - left))
    bottom = top + len(PANELS) * (PANEL_HEIGHT + gap) - gap
    page = canvas(right + MARGIN, bottom + 0.45 + MARGIN)
    write_title(page, "Images from the sender's layers", "thin: a pair · thick: the mean over the pairs of two recipes")
    write_key(page, left, 0.96, key, right - left)
    words = {"size": LABEL, "color": SOFT, "ha": "center"}
    for place, objective in enumerate(objectives):
        x = left + place * (width + gap)
        page.text(x, top - 0.12, f"{objective} stitches", size=HEADING, color=INK, weight="bold", va="baseline")
        page.text(x + width / 2, bottom + 0.26, "sender layer, relative depth", va="top", **words)
        for down, name in enumerate(PANELS):
            axes = _panel(page, x, top + down * (PANEL_HEIGHT + gap), width, limits[name])
            axes.tick_params(labelleft=place == 0, labelbottom=down == len(PANELS) - 1)
            shown = table[table.objective == objective]
            for which, rows in shown.groupby("recipes", sort=False):
                _draw_lines(axes, rows, name, colours[which])
            if name == "read_by_receiver":
                receivers = shown.drop_duplicates("receiver")
                for own in receivers.groupby("receiver_recipe").receiver_accuracy.mean():
                    draw_references(axes, own, chance_of(networks))
    for down, label in enumerate(PANELS.values()):
        middle = top + down * (PANEL_HEIGHT + gap) + PANEL_HEIGHT / 2
        page.text(left - 0.5, middle, label, rotation=90, va="center", **words)
    return finish(page, paper)


def _panel(page: Axes, left: float, top: float, width: float, highest: float) -> Axes:
    """Axes of one panel, from relative depth 0 to 1."""
    axes = panel(page, left, top, width, PANEL_HEIGHT)
    axes.set(xlim=(-0.03, 1.03), ylim=(0, highest))
    unit_axis(axes.xaxis, (0, 0.5, 1))
    if highest == 1:
        unit_axis(axes.yaxis)
    open_panel(axes, length=2.5, width=0.6)
    return axes


def _draw_lines(axes: Axes, rows: pd.DataFrame, name: str, colour: str) -> None:
    """Draw one line per pair, and their mean; a layer without a result is left out."""
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
    formats: Sequence[str],
    pairs: bool = True,
    paper: Paper = NATURAL,
    captions: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Draw the generated images of every pair, and their measures by layer.

    The files are `<folder>/generated_images/<sender>/<receiver>.<format>` and `<folder>/generated_images.<format>`.

    Args:
        table: `tables/generated_images.csv`.
        networks: `tables/networks.csv`.
        images: folder of the generated images, `<objective>/<sender>/<receiver>.h5`.
        folder: of the figures.
        formats, pairs, paper: as the study says.
        captions: the captions, as `pair` and `metrics`.

    Raises:
        ModelstitchError: if a file can't be written.
    """
    for (sender, receiver), pair in table.groupby(["sender", "receiver"], sort=False) if pairs else ():
        files = {objective: Path(images, objective, sender, f"{receiver}.h5") for objective in pair.objective}
        figure = draw_images(table, files, sender, receiver, paper)
        paths = [Path(folder, "generated_images", sender, f"{receiver}.{kind}") for kind in formats]
        save(figure, paths, captions.get("pair", ""))
    paths = [Path(folder, f"generated_images.{kind}") for kind in formats]
    save(draw_metrics(table, networks, paper), paths, captions.get("metrics", ""))
