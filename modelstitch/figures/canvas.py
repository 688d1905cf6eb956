"""What every figure is drawn with: axes in inches, panels, keys, numbers, names and the colour scale."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter

from modelstitch.analysis.controls import OVER_REMAPPED
from modelstitch.errors import ModelstitchError
from modelstitch.figures.paper import FAINT, INK, SMALL, SOFT, Page, text_width, wrapped
from modelstitch.identifiers import NetworkId

FAILED = {"facecolor": "#e2e2e2", "edgecolor": "#b6b6b6", "linewidth": 0, "hatch": "//////"}
GUIDE = {"color": "#e6e8eb", "linewidth": 0.6}  # behind curves
OWN = {"color": FAINT, "linewidth": 1.2}  # a network's own accuracy
CHANCE = {"color": SOFT, "linewidth": 0.9, "linestyle": (0, (1, 1.6))}  # that of a guess
LONGEST = 18  # letters of a layer's name
LEGIBLE = 0.34  # inches, as all that follow: a number is legible in cells of at least this size
BAR_HEIGHT, BAR_LENGTH = 0.11, 3.2
LEAST_BAR = 2.0  # that has room for its words
BAR_SPACE = 0.84  # from the cells to the lower edge of the figure
LINE, SAMPLE, APART = 0.2, 0.22, 0.3  # of a key: its lines, the sample of a colour, and the gap between two entries


def canvas(width: float, height: float) -> Axes:
    """Axes over a whole figure, in inches from its upper left corner."""
    axes = Page(figsize=(width, height), facecolor="white").add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0), autoscale_on=False)
    axes.set_axis_off()
    return axes


def panel(page: Axes, left: float, top: float, width: float, height: float) -> Axes:
    """Axes of their own on a canvas, in inches from its upper left corner."""
    whole_width, whole_height = page.figure.get_size_inches()
    place = (left / whole_width, 1 - (top + height) / whole_height, width / whole_width, height / whole_height)
    return page.figure.add_axes(place)


def open_panel(axes: Axes, **ticks: Any) -> None:
    """Draw faint axes at the left and below, and none above or at the right; `ticks` go to `tick_params`."""
    axes.tick_params(labelsize=SMALL, labelcolor=SOFT, color=FAINT, **ticks)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set(color=FAINT, **({"linewidth": ticks["width"]} if "width" in ticks else {}))


def draw_matrix(
    axes: Axes, values: np.ndarray, left: float, top: float, width: float, height: float, colormap: str
) -> None:
    """Draw values from 0 to 1 (rows, columns) as an image, hatched where they are NaN."""
    right, bottom = left + width, top + height
    axes.add_patch(Rectangle((left, top), width, height, zorder=-1, **FAILED))
    extent = {"extent": (left, right, bottom, top), "aspect": "auto", "interpolation": "nearest"}
    axes.imshow(np.ma.masked_invalid(values), cmap=colormap, vmin=0, vmax=1, **extent)


def write_key(page: Axes, left: float, middle: float, entries: Mapping[str, Mapping[str, Any]], room: float) -> None:
    """Write a key: for each entry a sample in its style (keywords of `plot`) and its words, in as many rows as needed.

    Args:
        page: axes of the whole figure.
        left, middle: left end of the first row, and its middle in height, in inches.
        entries: the style of each entry, by its words.
        room: width of a row, in inches.
    """
    for row, words in enumerate(key_rows(entries, room)):
        x, y = left, middle + row * LINE
        for word in words:
            page.plot([x, x + SAMPLE / 2, x + SAMPLE], [y] * 3, **{"markevery": [1]} | dict(entries[word]))
            page.text(x + SAMPLE + 0.07, y, word, size=SMALL, color=INK, va="center_baseline")
            x += key_width(word)


def key_rows(entries: Iterable[str], room: float) -> list[list[str]]:
    """The words of a key, in rows of at most this width."""
    rows: list[list[str]] = []
    taken = math.inf
    for word in entries:
        if taken + key_width(word) - APART > room:
            rows.append([])
            taken = 0.0
        rows[-1].append(word)
        taken += key_width(word)
    return rows


def key_width(word: str) -> float:
    """Width of an entry of a key, with the gap after it."""
    return SAMPLE + 0.07 + text_width(word, SMALL) + APART


def arranged(count: int, room: float, least: float, largest: float, gap: float) -> tuple[int, float]:
    """How many square panels to place side by side, and their size: as many as fit, then as large as fits."""
    across = min(count, max(1, int((room + gap) // (least + gap)))) if math.isfinite(room) else count
    across = -(-count // -(-count // across))  # rows of about the same length
    return across, min(largest, (room + gap) / across - gap)


def draw_references(axes: Axes, own: float, chance: float) -> None:
    """Draw lines at a network's own accuracy and at chance, behind the values that are compared with them."""
    axes.axhline(own, zorder=1, **OWN)
    axes.axhline(chance, zorder=1, **CHANCE)


def write_lines(axes: Axes, left: float, last: float, text: str, room: float, **style: Any) -> int:
    """Write a text in lines of at most `room` inches, the last on the baseline `last`; return the number of lines."""
    lines = wrapped(text, style["size"], room, style.get("weight", "normal"))
    axes.text(left, last, "\n".join(lines), va="baseline", linespacing=1.15, **style)
    return len(lines)


def unit_axis(axis: Axis, ticks: Sequence[float] = (0, 0.2, 0.4, 0.6, 0.8, 1)) -> None:
    """Set the ticks of an axis from 0 to 1, with numbers as in every figure."""
    axis.set_ticks(ticks)
    axis.set_major_formatter(FuncFormatter(tick))


def space_ticks(axes: Axes, width: float) -> None:
    """Drop ticks of the horizontal axis that would touch the one before, and write numbers as in every figure.

    Args:
        axes: a panel that is drawn already, so that its limits are known.
        width: its width in inches.
    """
    low, high = axes.get_xlim()
    scale = axes.xaxis.get_transform()
    start, end = scale.transform([low, high])
    kept, edge = [], -math.inf
    for value in axes.xaxis.get_majorticklocs():
        if low <= value <= high:
            half = text_width(tick(value), SMALL) / 2
            place = width * (scale.transform([value])[0] - start) / (end - start)
            if place - half > edge + 0.06:
                kept.append(value)
                edge = place + half
    axes.set_xticks(kept, map(tick, kept))
    axes.set_xticks([], minor=True)
    axes.set_xlim(low, high)


def draw_bar(
    axes: Axes,
    left: float,
    below: float,
    room: float,
    chance: float | None,
    colormap: str,
    hatched: bool = False,
    words: str = "test accuracy",
) -> None:
    """Draw the colour scale from 0 to 1, with chance marked on it, and beside it the meaning of a hatched cell.

    Args:
        axes: of the whole figure.
        left, below, room: its left edge, what it stands below, and the width it may take, in inches.
        chance: the accuracy of a guess; None where nothing is marked.
        colormap: of the cells.
        hatched: whether any cell has no result.
        words: what the colours stand for.
    """
    length, top = min(room, BAR_LENGTH), below + 0.34
    extent = (left, left + length, top + BAR_HEIGHT, top)
    axes.imshow(np.linspace(0, 1, 256)[None], cmap=colormap, extent=extent, aspect="auto", vmin=0, vmax=1)
    axes.add_patch(Rectangle((left, top), length, BAR_HEIGHT, fill=False, edgecolor=SOFT, linewidth=0.5))
    style = {"size": SMALL, "color": SOFT}
    for value in (0, 0.2, 0.4, 0.6, 0.8, 1) if length >= 1.6 else (0, 0.5, 1):
        axes.text(left + value * length, top + BAR_HEIGHT + 0.05, tick(value), ha="center", va="top", **style)
    name = {"x": left + length, "y": top - 0.06, "ha": "right"}
    if chance is not None:
        mark, words_of_chance = left + chance * length, f"chance {guess(chance)}"
        axes.plot([mark, mark], [top - 0.06, top + BAR_HEIGHT], color=INK, linewidth=1.2, solid_capstyle="butt")
        axes.text(mark + 0.04, top - 0.06, words_of_chance, ha="left", va="baseline", **style)
        if mark + 0.14 + text_width(words_of_chance, SMALL) + text_width(words, SMALL) > left + length:
            name = {"x": left, "y": top - 0.06, "ha": "left"}
            if left + text_width(words, SMALL) + 0.1 > mark:  # there is no room on either side
                name["y"] = top + BAR_HEIGHT + 0.32
    axes.text(s=words, va="baseline", **name, **style)
    if hatched:
        x = left + length + 0.3
        axes.add_patch(Rectangle((x, top - 0.02), 0.15, 0.15, **FAILED))
        axes.text(x + 0.21, top + 0.055, "no result", va="center_baseline", **style)


def stitches_of(objective: str) -> str:
    """The stitches of an objective, in the words of a subtitle."""
    if objective == OVER_REMAPPED:
        return "task stitches, less those on remapped labels"
    return f"{objective} stitches"


def scale_of(objective: str, networks: pd.DataFrame) -> dict[str, Any]:
    """What the colour scale of an objective's matrices says: `chance` and `words` of `draw_bar`."""
    if objective == OVER_REMAPPED:
        return {"chance": None, "words": "difference of accuracies"}
    return {"chance": chance_of(networks), "words": "test accuracy"}


def chance_of(networks: pd.DataFrame) -> float:
    """The accuracy of guessing: one over the number of classes in the networks table."""
    return 1 / int(networks.classes.iloc[0])


def own_accuracy(networks: pd.DataFrame, network: str) -> float:
    """Test accuracy of a network that is not stitched.

    Raises:
        ModelstitchError: if the networks table lacks it.
    """
    found = networks.accuracy[networks.network == network]
    if found.empty:
        raise ModelstitchError(f"the networks table lacks {network}: expected every network of the cells table")
    return float(found.iloc[0])


def number(value: float) -> str:
    """`0.91`, as in every figure; `n/a` for NaN."""
    if math.isnan(value):
        return "n/a"
    text = f"{abs(value):.2f}"
    return ("\N{MINUS SIGN}" if value < 0 and float(text) > 0 else "") + text


def guess(chance: float) -> str:
    """The accuracy of chance with two digits, `0.10`, or more where there are many classes: `0.005` for 200 of them."""
    return number(chance) if chance >= 0.01 else f"{chance:.4f}".rstrip("0")


def tick(value: float, _: int = 0) -> str:
    """`0.2`, `1`, `100`: a number of an axis, as short as it can be."""
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")


def pair_name(sender: str, receiver: str, seeds: bool) -> str:
    """An ordered pair of network ids in words, with their seeds where a study has several."""
    return " → ".join(network_name(network, seeds) for network in (sender, receiver))


def network_name(network: str, seeds: bool) -> str:
    """A network id in words, with its seed where a study has several."""
    one = NetworkId.parse(network)
    return f"{one.architecture} {f's{one.seed} ' * seeds}{one.recipe}"


def short_name(layer: int, names: Sequence[str] | dict[int, str]) -> str:
    """A layer's name without the prefix that all layers share, cut where it is long; "" if only the index is left."""
    if layer < 0:
        return "image"
    every = list(names.values()) if isinstance(names, dict) else list(names)
    parts = [name.split(".") for name in every]
    shared = 0
    while all(len(part) > shared + 1 for part in parts) and len({part[shared] for part in parts}) == 1:
        shared += 1
    own = names[layer].split(".")[shared:]
    name = ".".join(own) if len(".".join(own)) <= LONGEST else own[-1]
    if name == str(layer):
        return ""
    return name if len(name) <= LONGEST else "…" + name[1 - LONGEST :]


def ink_on(colour: np.ndarray) -> str:
    """The colour of text on a background (RGBA): white on dark ones, ink on light ones, by WCAG 2's relative luminance.

    By contrast ratio ink wins from a luminance of 0.2 on, but white reads better up to 0.25 on saturated colours.
    """
    linear = np.where(colour[:3] <= 0.04045, colour[:3] / 12.92, ((colour[:3] + 0.055) / 1.055) ** 2.4)
    return INK if linear @ (0.2126, 0.7152, 0.0722) > 0.25 else "white"


def write_accuracy(
    axes: Axes, left: float, top: float, cell: float, accuracy: float, colormap: str, failure: str = "n/a"
) -> None:
    """Write an accuracy into the middle of its cell, in a colour that is legible there; `failure` stands for NaN."""
    failed = math.isnan(accuracy)
    text = failure if failed else number(accuracy)
    ink = INK if failed else ink_on(np.array(matplotlib.colormaps[colormap](accuracy)))
    size = max(SMALL, min(9.5, 24 * cell, SMALL * (cell - 0.02) / text_width(text, SMALL)))
    style = {"size": size, "color": ink, "ha": "center", "va": "center_baseline"}
    axes.text(left + cell / 2, top + cell / 2, text, **style)


def rows_with(cells: pd.DataFrame, **values: str) -> pd.DataFrame:
    for name, value in values.items():
        cells = cells[cells[name] == value]
    if cells.empty:
        wanted = ", ".join(f"{name} {value}" for name, value in values.items())
        raise ModelstitchError(f"the table has no row with {wanted}: expected a pair of the study")
    return cells
