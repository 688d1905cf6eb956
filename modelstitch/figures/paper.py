"""The size of a figure: its natural size, or exactly one or two columns of a paper; with a title or without one.

A figure is laid out in inches with letters of at least 8 points. For a paper it is laid out to fit `Paper.room`, and
`finish` then shrinks it to the column, which leaves letters of at least 6 points.
"""

import io
import math
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.textpath import text_to_path

from modelstitch.errors import ModelstitchError
from modelstitch.files import replacing

WIDTHS = {"natural": None, "column": 3.3, "two-columns": 6.8}  # inches
SHRINK = 0.75  # of what is laid out for a paper: from 8 points to 6
DPI, PAPER_DPI = 200, 300
INK, SOFT, FAINT = "#1f2328", "#59636e", "#818b98"
TITLE, HEADING, LABEL, SMALL = 12.0, 10.0, 9.0, 8.0  # points
MARGIN, EDGE = 0.22, 0.06  # inches: around a figure of its own size, and at the sides of one for a paper
TITLE_SPACE = 0.5  # inches, that are saved where there is no title
WIDEST_TITLE = 7.0  # inches: a longer one does not widen its figure
METADATA = {"png": {"Software": None}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
OF_PROGRAMS = {"backend", "backend_fallback", "interactive", "toolbar", "timezone"}  # settings that draw nothing
# Letters as letters: type 42 in PDF, as submission checks ask for, and text in SVG. The salt makes ids repeatable.
FONTS = {"pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "modelstitch"}


@dataclass(frozen=True)
class Paper:
    """How large a figure is, and whether its title is drawn.

    Attributes:
        width: one of `WIDTHS`.
        titles: False leaves the title out, for a figure with a caption: `caption_of` holds title and subtitle.

    Raises:
        ModelstitchError: if there is no such width.
    """

    width: str = "natural"
    titles: bool = True

    def __post_init__(self) -> None:
        if self.width not in WIDTHS:
            raise ModelstitchError(f"width {self.width!r} of a figure: expected {', '.join(WIDTHS)}")

    @property
    def room(self) -> float:
        """Width for the layout of a figure with its margins, in inches; infinite at natural size."""
        inches = WIDTHS[self.width]
        return math.inf if inches is None else inches / SHRINK + 2 * (MARGIN - EDGE)


NATURAL = Paper()


class Page(Figure):
    """A figure that knows its caption, shows itself in any notebook, and is written without a date.

    Attributes:
        words: title and subtitle.
        shrunk: whether it was shrunk to the width of a paper's column.
    """

    words: tuple[str, str] = ("", "")
    shrunk = False

    def savefig(self, fname: Any, **settings: Any) -> None:
        with plain(), matplotlib.rc_context(FONTS):
            super().savefig(fname, **settings)

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=DPI / 2)
        return buffer.getvalue()


def plain() -> AbstractContextManager[None]:
    """A context in which matplotlib draws with its default settings, whatever the user's matplotlibrc says."""
    settings = {name: matplotlib.rcParamsDefault[name] for name in matplotlib.rcParams if name not in OF_PROGRAMS}
    return matplotlib.rc_context(settings)


def write_title(axes: Axes, title: str, subtitle: str) -> None:
    """Write title and subtitle into the first 0.86 inches; `finish` breaks them into lines, or removes them."""
    axes.figure.words = (title, subtitle)
    axes.text(MARGIN, MARGIN + 0.18, title, size=TITLE, color=INK, weight="bold", va="baseline")
    axes.text(MARGIN, MARGIN + 0.42, subtitle, size=LABEL, color=SOFT, va="baseline")


def finish(page: Axes, paper: Paper) -> Page:
    """The finished figure of a canvas: exactly as wide as the paper asks, with a title that fits or without one."""
    figure = page.figure
    width, height = figure.get_size_inches()
    left, right, top = 0.0, width, 0.0
    natural = not math.isfinite(paper.room)
    if not natural:
        spare = max(0.0, paper.room - width) / 2
        left, right = MARGIN - EDGE - spare, width - MARGIN + EDGE + spare
    title, subtitle = (_find(page, words) for words in figure.words)
    if paper.titles:
        if natural:
            widths = (text_width(figure.words[0], TITLE, "bold"), text_width(figure.words[1], LABEL))
            right = max(right, min(WIDEST_TITLE, max(widths) + 2 * MARGIN))
        start = left + (MARGIN if natural else EDGE)
        lines = [_break(text, start, right - EDGE - start) for text in (title, subtitle)]
        title.set_y(title.get_position()[1] - 0.16 * (lines[1] - 1))
        top = -0.16 * (lines[1] - 1) - 0.21 * (lines[0] - 1)
    else:
        title.remove()
        subtitle.remove()
        top = TITLE_SPACE
    _reframe(page, left, right, top, height)
    if not natural:
        _shrink(figure, WIDTHS[paper.width] / (right - left))
    return figure


def _find(page: Axes, words: str) -> Text:
    return next(text for text in page.texts if text.get_text() == words)


def _break(text: Text, left: float, room: float) -> int:
    """Break a text into lines that fit, leaving the last one in place; return the number of lines."""
    # Small letters are drawn up to a hundredth wider than they are.
    lines = wrapped(text.get_text(), text.get_fontsize(), 0.98 * room, text.get_fontweight())
    text.set(text="\n".join(lines), x=left, linespacing=1.15)
    return len(lines)


def _reframe(page: Axes, left: float, right: float, top: float, bottom: float) -> None:
    """Crop or extend the canvas to these edges, in inches."""
    figure = page.figure
    (width, height), wide, high = figure.get_size_inches(), right - left, bottom - top
    for panel in figure.axes:
        if panel is not page:
            at = panel.get_position()
            x, y = at.x0 * width - left, (1 - at.y1) * height - top
            across, down = at.width * width, at.height * height
            panel.set_position((x / wide, 1 - (y + down) / high, across / wide, down / high))
    page.set(xlim=(left, right), ylim=(bottom, top))
    figure.set_size_inches(wide, high)


def _shrink(figure: Page, scale: float) -> None:
    figure.set_size_inches(figure.get_size_inches() * scale)
    for text in figure.findobj(Text):
        text.set_fontsize(text.get_fontsize() * scale)
    for panel in figure.axes[1:]:
        panel.tick_params(which="both", labelsize=SMALL * scale)  # of the ticks that are not yet drawn
    figure.shrunk = True


def save(figure: Page, paths: Iterable[Path | str], caption: str = "") -> None:
    """Write a figure to each path, in the format of its suffix: png, pdf, svg, or txt for its caption.

    Files hold no date, so that equal figures give equal bytes.

    Args:
        figure: as `finish` returns it.
        paths: files to write.
        caption: a description of what the figure shows, to follow title and subtitle.

    Raises:
        ModelstitchError: if a file can't be written.
    """
    for path in map(Path, paths):
        kind = path.suffix[1:]
        with replacing(path) as temporary:
            if kind == "txt":
                temporary.write_text(caption_of(figure, caption) + "\n", encoding="utf-8")
            else:
                dpi = PAPER_DPI if figure.shrunk else DPI
                figure.savefig(temporary, format=kind, dpi=dpi, metadata=METADATA[kind])


def caption_of(figure: Page, caption: str) -> str:
    """The whole caption: title and subtitle as two sentences, then the description."""
    title, subtitle = figure.words
    sentence = subtitle.replace(" · ", "; ")
    return " ".join(filter(None, (f"{title}.", f"{sentence[:1].upper()}{sentence[1:]}.", caption)))


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Width of a text in inches."""
    return text_to_path.get_text_width_height_descent(text, FontProperties(size=size, weight=weight), False)[0] / 72


def wrapped(text: str, size: float, room: float, weight: str = "normal") -> list[str]:
    """A text in lines of at most `room` inches; a longer word has a line of its own."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer, size, weight) > room:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
