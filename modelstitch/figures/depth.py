"""Figure of the average pair: the mean matrix over all pairs of two recipes by relative depth, and its triangle."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from modelstitch.analysis.controls import with_excess
from modelstitch.analysis.depth import average
from modelstitch.figures.canvas import (
    BAR_SPACE,
    canvas,
    draw_bar,
    draw_matrix,
    number,
    rows_with,
    scale_of,
    stitches_of,
    tick,
)
from modelstitch.figures.paper import (
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
    write_title,
)

SIZE, WIDEST = 3.2, 4.6  # inches, as all that follow: of a matrix in a figure of its own size, and of any
NUMBERS = 2.0  # width of the triangle's numbers
POINTS = 256  # a power of two: no point is as near to one layer as to the next


@plain()
def draw(
    cells: pd.DataFrame,
    networks: pd.DataFrame,
    triangles: pd.DataFrame,
    objective: str,
    sender_recipe: str,
    receiver_recipe: str,
    colormap: str,
    paper: Paper = NATURAL,
) -> Page:
    """Draw the average matrix of all pairs of two recipes on axes of relative depth, with the triangle's numbers.

    Each point is the mean, over the pairs, of the nearest cell. The solid line is the diagonal; the dashed one is the
    boundary whose slope explains most, drawn if it explains anything. On a narrow paper the numbers stand below.

    Raises:
        ModelstitchError: if a table lacks the pairs.
    """
    chosen = {"objective": objective, "sender_recipe": sender_recipe, "receiver_recipe": receiver_recipe}
    cells = rows_with(cells, **chosen)
    numbers = rows_with(triangles, **chosen, sender="all").iloc[0]
    pairs = cells.groupby(["sender", "receiver"]).ngroups
    left, top, beside = 0.95, 1.05, 0.45
    below = paper.room < left + SIZE + beside + NUMBERS + MARGIN
    size = SIZE
    if math.isfinite(paper.room):
        size = min(WIDEST, paper.room - left - MARGIN - (0 if below else beside + NUMBERS))
    bottom, right = top + size, left + size
    lower = bottom + 0.42 + BAR_SPACE
    lines = _triangle_lines(numbers)
    height = 0.2 * len(lines)
    axes = canvas(right + MARGIN + (0 if below else beside + NUMBERS), lower + (height + 0.1 if below else 0))
    title = f"Average matrix, {sender_recipe} → {receiver_recipe}"
    write_title(
        axes, title, f"{stitches_of(objective)} · {pairs} pair{'s' * (pairs > 1)} · each layer at its relative depth"
    )
    values = average(cells, POINTS)
    draw_matrix(axes, values, left, top, size, size, colormap)
    _draw_boundary(axes, left, top, size, 1, "solid")
    if _explains(numbers):
        _draw_boundary(axes, left, top, size, numbers.depth_slope, (0, (4, 3)))
    style = {"size": SMALL, "color": SOFT}
    for value in (0, 0.25, 0.5, 0.75, 1):
        axes.text(left - 0.07, top + value * size, tick(value), ha="right", va="center_baseline", **style)
        axes.text(left + value * size, bottom + 0.06, tick(value), ha="center", va="top", **style)
    words = {"size": LABEL, "color": SOFT, "ha": "center"}
    axes.text(left + size / 2, bottom + 0.24, "receiver layer, relative depth", va="top", **words)
    axes.text(left - 0.53, top + size / 2, "sender layer, relative depth", va="center", rotation=90, **words)
    _write_triangle(axes, *((left, lower) if below else (right + beside, top)), lines)
    hatched, scale = bool(np.isnan(values).any()), scale_of(objective, networks)
    draw_bar(axes, left, bottom + 0.42, SIZE, colormap=colormap, hatched=hatched, **scale)
    return finish(axes, paper)


def draw_all(
    cells: pd.DataFrame,
    networks: pd.DataFrame,
    triangles: pd.DataFrame,
    folder: Path | str,
    recipes: Mapping[str, Iterable[tuple[str, str]]],
    colormap: str,
    formats: Sequence[str],
    paper: Paper = NATURAL,
    captions: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Draw the average pair of each two recipes into `<folder>/depth_<objective>_<sender>_to_<receiver>.<format>`.

    Args:
        cells, networks, triangles: the tables.
        folder, recipes, colormap, formats, paper: as for `matrices.draw_all_overviews`.
        captions: the caption, as `depth`.

    Raises:
        ModelstitchError: if a table lacks the pairs, or a file can't be written.
    """
    cells = with_excess(cells)
    for objective, pairs in recipes.items():
        for sender, receiver in pairs:
            figure = draw(cells, networks, triangles, objective, sender, receiver, colormap, paper)
            paths = [f"{folder}/depth_{objective}_{sender}_to_{receiver}.{kind}" for kind in formats]
            save(figure, paths, captions.get("depth", ""))


def _draw_boundary(axes: Axes, left: float, top: float, size: float, slope: float, dashes: str | tuple) -> None:
    """Draw a line of this slope from the upper left corner of the average matrix, visible on dark and light cells."""
    end = (left + size * min(1, 1 / slope), top + size * min(1, slope))
    for colour, width in (("white", 2.6), (INK, 1.1)):
        line = {"color": colour, "linewidth": width, "solid_capstyle": "butt", "dash_capstyle": "butt"}
        axes.plot(*zip((left, top), end, strict=True), linestyle="solid" if colour == "white" else dashes, **line)


def _explains(numbers: pd.Series) -> bool:
    """Whether there is a best slope, and it explains something."""
    return not math.isnan(numbers.depth_slope) and numbers.depth_explained >= 0.005


def _triangle_lines(numbers: pd.Series) -> list[tuple[str, str]]:
    """One line for each of the triangle's numbers, in words, followed by lines for its intervals."""
    lines = []
    for text, name in (
        ("at or below the diagonal", "below"),
        ("above it", "above"),
        ("difference", "difference"),
        ("best slope (dashed)" if _explains(numbers) else "best slope (not drawn)", "depth_slope"),
        ("variance explained by it", "depth_explained"),
        ("by the diagonal", "depth_diagonal_explained"),
        ("by equal indices", "index_diagonal_explained"),
    ):
        lines.append((text, number(numbers[name])))
        for over in ("images", "pairs", "seeds"):
            low, high = (numbers.get(f"{name}_{over}_{end}", math.nan) for end in ("low", "high"))
            if not math.isnan(low):
                lines.append(("", f"{number(low)} to {number(high)} over {over}"))
    return lines


def _write_triangle(axes: Axes, left: float, top: float, lines: Sequence[tuple[str, str]]) -> None:
    for place, (words, value) in enumerate(lines):
        y = top + 0.1 + 0.2 * place
        size, colour = (LABEL, INK) if words else (SMALL, SOFT)
        axes.text(left, y, words, size=SMALL, color=SOFT, va="baseline")
        axes.text(left + NUMBERS - 0.05, y, value, size=size, color=colour, ha="right", va="baseline")
