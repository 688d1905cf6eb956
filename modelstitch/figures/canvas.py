"""What every figure is drawn with: axes in inches, titles, names, the colour scale, and files without dates."""

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.textpath import text_to_path

from modelstitch.analysis.controls import OVER_REMAPPED
from modelstitch.errors import ModelstitchError
from modelstitch.files import replacing
from modelstitch.identifiers import NetworkId

DPI = 200
INK, SOFT, FAINT = "#1f2328", "#59636e", "#818b98"
FAILED = {"facecolor": "#e2e2e2", "edgecolor": "#b6b6b6", "linewidth": 0, "hatch": "//////"}
TITLE, HEADING, LABEL, SMALL = 12.0, 10.0, 9.0, 8.0  # points
LONGEST = 18  # letters of a layer's name
MARGIN = 0.22  # inches, as all that follow
LEGIBLE = 0.26  # a number is legible in cells of at least this size
BAR_HEIGHT, BAR_LENGTH = 0.11, 3.2
LEAST_BAR = 2.0  # that has room for its words
BAR_SPACE = 0.84  # from the cells to the lower edge of the figure
OF_PROGRAMS = {"backend", "backend_fallback", "interactive", "toolbar", "timezone"}  # settings that draw nothing
METADATA = {"png": {"Software": None}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}


def plain() -> AbstractContextManager[None]:
    """Draw in the block by matplotlib's own settings, whatever the user's matplotlibrc says."""
    settings = {name: matplotlib.rcParamsDefault[name] for name in matplotlib.rcParams if name not in OF_PROGRAMS}
    return matplotlib.rc_context(settings)


def save(figure: Figure, paths: Iterable[Path | str]) -> None:
    """Write a figure to each path, in the format of its suffix: png, pdf or svg. No date: equal pictures, equal bytes.

    Raises:
        ModelstitchError: if a file can't be written.
    """
    with plain(), matplotlib.rc_context({"svg.hashsalt": "modelstitch"}):
        for path in map(Path, paths):
            kind = path.suffix[1:]
            with replacing(path) as temporary:
                figure.savefig(temporary, format=kind, dpi=DPI, metadata=METADATA[kind])


class Page(Figure):
    """A figure that shows in a notebook, whatever is imported there."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        with plain():
            self.savefig(buffer, format="png", dpi=DPI / 2)
        return buffer.getvalue()


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
    """Faint lines at the left and below, none above or at the right; `ticks` are of `tick_params`."""
    axes.tick_params(labelsize=SMALL, labelcolor=SOFT, color=FAINT, **ticks)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set(color=FAINT, **({"linewidth": ticks["width"]} if "width" in ticks else {}))


def draw_matrix(
    axes: Axes, values: np.ndarray, left: float, top: float, width: float, height: float, colormap: str
) -> None:
    """Values of 0 to 1 (rows, columns) as an image, hatched where they are NaN."""
    right, bottom = left + width, top + height
    axes.add_patch(Rectangle((left, top), width, height, zorder=-1, **FAILED))
    extent = {"extent": (left, right, bottom, top), "aspect": "auto", "interpolation": "nearest"}
    axes.imshow(np.ma.masked_invalid(values), cmap=colormap, vmin=0, vmax=1, **extent)


def write_key(page: Axes, left: float, middle: float, colours: Mapping[str, Any]) -> None:
    """What the lines of each colour are, in a row."""
    for words, colour in colours.items():
        page.plot([left, left + 0.22], [middle] * 2, color=colour, linewidth=1.6)
        page.text(left + 0.29, middle, words, size=LABEL, color=INK, va="center_baseline")
        left += 0.29 + text_width(words, LABEL) + 0.3


def draw_references(axes: Axes, own: float, chance: float) -> None:
    """A network's own accuracy and that of a guess, behind what is compared with them."""
    axes.axhline(own, color=FAINT, linewidth=1.2, zorder=1)
    axes.axhline(chance, color=SOFT, linewidth=0.9, linestyle=(0, (1, 1.6)), zorder=1)


def write_title(axes: Axes, title: str, subtitle: str) -> None:
    axes.text(MARGIN, MARGIN + 0.18, title, size=TITLE, color=INK, weight="bold", va="baseline")
    axes.text(MARGIN, MARGIN + 0.42, subtitle, size=LABEL, color=SOFT, va="baseline")


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
    """The colour scale, 0 to 1, with the accuracy of chance marked; beside it, what a hatched cell is.

    Args:
        axes: of the whole figure.
        left, below, room: its left edge, what it stands below, and the width it may take, in inches.
        chance: the accuracy of a guess; None where nothing is marked.
        colormap: of the cells.
        hatched: whether any cell has no result.
        words: what the colours are.
    """
    length, top = min(room, BAR_LENGTH), below + 0.34
    extent = (left, left + length, top + BAR_HEIGHT, top)
    axes.imshow(np.linspace(0, 1, 256)[None], cmap=colormap, extent=extent, aspect="auto", vmin=0, vmax=1)
    axes.add_patch(Rectangle((left, top), length, BAR_HEIGHT, fill=False, edgecolor=SOFT, linewidth=0.5))
    style = {"size": SMALL, "color": SOFT}
    for tick in ("0", ".2", ".4", ".6", ".8", "1"):
        axes.text(left + float(tick) * length, top + BAR_HEIGHT + 0.05, tick, ha="center", va="top", **style)
    name = {"x": left + length, "ha": "right"}
    if chance is not None:
        mark = left + chance * length
        axes.plot([mark, mark], [top - 0.06, top + BAR_HEIGHT], color=INK, linewidth=1.2, solid_capstyle="butt")
        axes.text(mark + 0.04, top - 0.06, f"chance {guess(chance)}", ha="left", va="baseline", **style)
        if chance >= 0.3:
            name = {"x": left, "ha": "left"}
    axes.text(y=top - 0.06, s=words, va="baseline", **name, **style)
    if hatched:
        x = left + length + 0.3
        axes.add_patch(Rectangle((x, top - 0.02), 0.15, 0.15, **FAILED))
        axes.text(x + 0.21, top + 0.055, "no result", va="center_baseline", **style)


def stitches_of(objective: str) -> str:
    """What a figure shows of an objective, in words."""
    if objective == OVER_REMAPPED:
        return "task stitches, less those on remapped labels"
    return f"{objective} stitches"


def scale_of(objective: str, networks: pd.DataFrame) -> dict[str, Any]:
    """What the colour scale of an objective's matrices says: `chance` and `words` of `draw_bar`."""
    if objective == OVER_REMAPPED:
        return {"chance": None, "words": "difference of accuracies"}
    return {"chance": chance_of(networks), "words": "test accuracy"}


def chance_of(networks: pd.DataFrame) -> float:
    """The accuracy of a guess, by the networks table."""
    return 1 / int(networks.classes.iloc[0])


def own_accuracy(networks: pd.DataFrame, network: str) -> float:
    """Of a network alone.

    Raises:
        ModelstitchError: if the networks table lacks it.
    """
    found = networks.accuracy[networks.network == network]
    if found.empty:
        raise ModelstitchError(f"the networks table lacks {network}: expected every network of the cells table")
    return float(found.iloc[0])


def number(value: float) -> str:
    """`.91`, as the paper prints it; `1.0` for what rounds to one; `n/a` for NaN."""
    if math.isnan(value):
        return "n/a"
    text = f"{abs(value):.2f}"
    sign = "\N{MINUS SIGN}" if value < 0 and float(text) else ""
    return sign + (text[1:] if text.startswith("0") else f"{abs(value):.1f}")


def guess(chance: float) -> str:
    """The accuracy of chance: `.10`, and of many classes as many digits as it needs: `.005` of 200."""
    return number(chance) if chance >= 0.01 else f"{chance:.4f}".rstrip("0").removeprefix("0")


def pair_name(sender: str, receiver: str, seeds: bool) -> str:
    """An ordered pair of network ids in words, with their seeds where a study has several."""
    ids = map(NetworkId.parse, (sender, receiver))
    return " → ".join(f"{one.architecture} {f's{one.seed} ' * seeds}{one.recipe}" for one in ids)


def short_name(layer: int, names: Sequence[str] | dict[int, str]) -> str:
    """A layer's name without what all names begin with, and not too long; "" where it is no more than the index."""
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


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Width of a text in inches."""
    return text_to_path.get_text_width_height_descent(text, FontProperties(size=size, weight=weight), False)[0] / 72


def ink_on(colour: np.ndarray) -> str:
    """White on dark colours (RGBA), ink on light ones, by the relative luminance of WCAG 2.

    Ink has the higher ratio from .2 on, but on the saturated greens and reds up to .25 white reads better.
    """
    linear = np.where(colour[:3] <= 0.04045, colour[:3] / 12.92, ((colour[:3] + 0.055) / 1.055) ** 2.4)
    return INK if linear @ (0.2126, 0.7152, 0.0722) > 0.25 else "white"


def write_accuracy(
    axes: Axes, left: float, top: float, cell: float, accuracy: float, colormap: str, failure: str = "n/a"
) -> None:
    """An accuracy in the middle of its cell, in an ink that is seen on the cell's colour; for NaN the `failure`."""
    failed = math.isnan(accuracy)
    text = failure if failed else number(accuracy)
    ink = INK if failed else ink_on(np.array(matplotlib.colormaps[colormap](accuracy)))
    style = {"size": min(9.5, 24 * cell), "color": ink, "ha": "center", "va": "center_baseline"}
    axes.text(left + cell / 2, top + cell / 2, text, **style)


def rows_with(cells: pd.DataFrame, **values: str) -> pd.DataFrame:
    for name, value in values.items():
        cells = cells[cells[name] == value]
    if cells.empty:
        wanted = ", ".join(f"{name} {value}" for name, value in values.items())
        raise ModelstitchError(f"the table has no row with {wanted}: expected a pair of the study")
    return cells
