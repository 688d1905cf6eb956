"""Pictures of many matrices: all pairs at a glance or averaged, and the controls beside the trained pairs.

Rows are the sender's layers and columns the receiver's, layer 0 at the top left as the paper prints them. A figure is
laid out in inches on one pair of axes, so that cells keep their size and shape whatever the architectures.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline

from modelstitch.analysis.controls import OVER_REMAPPED, with_excess
from modelstitch.analysis.depth import average
from modelstitch.config.stitches import REMAPPED, is_control, is_measured
from modelstitch.figures.canvas import (
    BAR_SPACE,
    FAILED,
    FAINT,
    HEADING,
    INK,
    LABEL,
    LEGIBLE,
    MARGIN,
    SMALL,
    SOFT,
    canvas,
    draw_bar,
    draw_matrix,
    number,
    own_accuracy,
    plain,
    rows_with,
    save,
    scale_of,
    stitches_of,
    text_width,
    write_accuracy,
    write_title,
)
from modelstitch.identifiers import RECIPES, NetworkId

AVERAGE = 3.2  # inches, as all that follow
AVERAGE_POINTS = 256  # a power of two: no point is as near to one layer as to the next
SIDES = (("sender", "sender_layer"), ("receiver", "receiver_layer"))


@dataclass(frozen=True)
class _Side:
    """Where the layers of some networks stand along one side of a grid, in inches, and how the networks are called."""

    names: tuple[str, ...]
    accuracies: tuple[str, ...]
    layers: pd.MultiIndex  # (network, layer)
    starts: np.ndarray
    spans: tuple[tuple[float, float], ...]  # first and last edge of each network

    @property
    def length(self) -> float:
        return self.spans[-1][1]


@dataclass(frozen=True)
class _Grid:
    """The cells of some pairs, laid out by the layers of their senders (rows) and receivers (columns)."""

    cells: pd.DataFrame
    rows: _Side
    columns: _Side
    cell: float

    @property
    def annotated(self) -> bool:
        return self.cell >= LEGIBLE

    @property
    def ticks(self) -> float:
        """Room for the numbers of the layers."""
        return 0.22 if self.annotated else 0.07

    @property
    def upright(self) -> bool:
        """Whether a receiver's name is wider than its column."""
        names = zip(self.columns.names, self.columns.spans, strict=True)
        return any(text_width(name, LABEL) > end - start for name, (start, end) in names)

    @property
    def left(self) -> float:
        """Room for the senders' names."""
        names = max(text_width(name, LABEL) for name in self.rows.names)
        return self.ticks + max(names + (0 if self.annotated else 0.3), text_width("receivers →", SMALL))

    @property
    def top(self) -> float:
        """Room for the receivers' names."""
        return self.ticks + (
            0.3 + max(text_width(name, LABEL) for name in self.columns.names) if self.upright else 0.34
        )


def draw_overview(
    cells: pd.DataFrame,
    networks: pd.DataFrame,
    objective: str,
    sender_recipe: str,
    receiver_recipe: str,
    colormap: str,
) -> Figure:
    """The matrices of all pairs of two recipes, senders from top to bottom and receivers from left to right.

    Cells are as large as the study allows; where there is room they hold their accuracy.

    Raises:
        ModelstitchError: if a table lacks the pairs or one of their networks.
    """
    cells = rows_with(cells, objective=objective, sender_recipe=sender_recipe, receiver_recipe=receiver_recipe)
    return _draw_panels(cells, networks, colormap, room=9.0, largest=0.36)


def draw_controls(cells: pd.DataFrame, networks: pd.DataFrame, objective: str, colormap: str) -> Figure:
    """A panel for every combination of recipes, each with the matrices of all its pairs, on one colour scale.

    Of the task also one for each of those with remapped labels.

    Raises:
        ModelstitchError: if a table lacks the objective or one of the networks.
    """
    chosen = rows_with(cells, objective=objective)
    if objective == "task":
        chosen = pd.concat([chosen, cells[cells.objective == REMAPPED]])
    return _draw_panels(chosen, networks, colormap, room=4.2, largest=0.25)


@plain()
def _draw_panels(cells: pd.DataFrame, networks: pd.DataFrame, colormap: str, room: float, largest: float) -> Figure:
    """A panel for each objective's combination of recipes: up to three in a row, more as a square."""
    # `dict(...)` takes a groupby for a mapping, and fails.
    groups = cells.groupby(["objective", "sender_recipe", "receiver_recipe"], sort=False)
    panels = {key: panel for key, panel in groups}  # noqa: C416
    order = sorted(panels, key=lambda key: [is_control(key[0]), *map(RECIPES.index, key[1:])])
    layers = max(panel[list(side)].drop_duplicates().shape[0] for panel in panels.values() for side in SIDES)
    cell = min(max(room / layers, 0.03), largest)
    grids = [_grid(panels[key], networks, cell) for key in order]
    headings = [(_heading(key, cells.objective.iloc[0]), _summary(panels[key])) for key in order]
    left, above = max(grid.left for grid in grids), max(grid.top for grid in grids) + 0.4
    height = above + max(grid.rows.length for grid in grids)
    heading = max(text_width(name, HEADING, "bold") + 0.15 + text_width(summary, SMALL) for name, summary in headings)
    width = left + max(heading, *(grid.columns.length for grid in grids))
    across = len(grids) if len(grids) <= 3 else math.ceil(math.sqrt(len(grids)))
    down = math.ceil(len(grids) / across)
    title = "All pairs" if len(grids) == 1 else "Trained networks and controls"
    subtitle = f"{stitches_of(cells.objective.iloc[0])} · grey: the network's own accuracy"
    top, gap = 0.86, 0.3
    right = max(MARGIN + across * width + (across - 1) * gap, MARGIN + text_width(subtitle, LABEL))
    bottom = top + down * height + (down - 1) * gap
    axes = canvas(right + MARGIN, bottom + BAR_SPACE)
    write_title(axes, title, subtitle)
    for place, (grid, (name, summary)) in enumerate(zip(grids, headings, strict=True)):
        x, y = MARGIN + left + place % across * (width + gap), top + place // across * (height + gap)
        axes.text(x, y + 0.2, name, size=HEADING, color=INK, weight="bold", va="baseline")
        after = x + text_width(name, HEADING, "bold") + 0.15
        axes.text(after, y + 0.2, summary, size=SMALL, color=SOFT, va="baseline")
        _draw_cells(axes, grid, x, y + above, colormap)
        _write_networks(axes, grid, x, y + above)
        if grid.annotated:
            _write_layers(axes, grid, x, y + above, 6.5)
    hatched = any(not grid.annotated and grid.cells.accuracy.isna().any() for grid in grids)
    length = grids[0].columns.length
    scale = scale_of(cells.objective.iloc[0], networks)
    draw_bar(axes, MARGIN + left, bottom, length, colormap=colormap, hatched=hatched, **scale)
    return axes.figure


@plain()
def draw_depth(
    cells: pd.DataFrame,
    networks: pd.DataFrame,
    triangles: pd.DataFrame,
    objective: str,
    sender_recipe: str,
    receiver_recipe: str,
    colormap: str,
) -> Figure:
    """The average matrix of all pairs of two recipes on axes of relative depth, and the triangle's numbers.

    Each pair gives a point the accuracy of its cell nearest to it. Solid: the diagonal; dashed: the boundary of the
    best slope.

    Raises:
        ModelstitchError: if a table lacks the pairs.
    """
    chosen = {"objective": objective, "sender_recipe": sender_recipe, "receiver_recipe": receiver_recipe}
    cells = rows_with(cells, **chosen)
    numbers = rows_with(triangles, **chosen, sender="all").iloc[0]
    pairs = cells.groupby(["sender", "receiver"]).ngroups
    left, top, beside = 0.95, 1.05, 0.45
    axes = canvas(left + AVERAGE + beside + 2.0 + MARGIN, top + AVERAGE + 0.42 + BAR_SPACE)
    title = f"Average matrix, {sender_recipe} → {receiver_recipe}"
    write_title(
        axes, title, f"{stitches_of(objective)} · {pairs} pair{'s' * (pairs > 1)} · each layer at its relative depth"
    )
    bottom, right = top + AVERAGE, left + AVERAGE
    values = average(cells, AVERAGE_POINTS)
    draw_matrix(axes, values, left, top, AVERAGE, AVERAGE, colormap)
    _draw_boundary(axes, left, top, 1, "solid")
    if not math.isnan(numbers.depth_slope):
        _draw_boundary(axes, left, top, numbers.depth_slope, (0, (4, 3)))
    style = {"size": SMALL, "color": SOFT}
    for tick in ("0", ".25", ".5", ".75", "1"):
        axes.text(left - 0.07, top + float(tick) * AVERAGE, tick, ha="right", va="center_baseline", **style)
        axes.text(left + float(tick) * AVERAGE, bottom + 0.06, tick, ha="center", va="top", **style)
    words = {"size": LABEL, "color": SOFT, "ha": "center"}
    axes.text(left + AVERAGE / 2, bottom + 0.24, "receiver layer, relative depth", va="top", **words)
    axes.text(left - 0.5, top + AVERAGE / 2, "sender layer, relative depth", va="center", rotation=90, **words)
    _write_triangle(axes, right + beside, top, numbers)
    hatched, scale = bool(np.isnan(values).any()), scale_of(objective, networks)
    draw_bar(axes, left, bottom + 0.42, AVERAGE, colormap=colormap, hatched=hatched, **scale)
    return axes.figure


def draw_all_overviews(
    cells: pd.DataFrame,
    networks: pd.DataFrame,
    folder: Path | str,
    recipes: Mapping[str, Iterable[tuple[str, str]]],
    colormap: str,
    formats: Sequence[str],
) -> None:
    """Draw `<folder>/overview_<objective>_<sender>_to_<receiver>.<format>` of each two recipes, and the controls.

    Args:
        cells, networks: the tables.
        folder: where the pictures go.
        recipes: of each objective; `OVER_REMAPPED` may be one.
        colormap, formats: of the pictures.

    Raises:
        ModelstitchError: if a table lacks the objective, a pair or a network, or a file can't be written.
    """
    cells = with_excess(cells)
    for objective, pairs in recipes.items():
        for sender, receiver in pairs:
            overview = draw_overview(cells, networks, objective, sender, receiver, colormap)
            save(overview, [f"{folder}/overview_{objective}_{sender}_to_{receiver}.{kind}" for kind in formats])
        if objective != OVER_REMAPPED and is_measured(objective):
            controls = draw_controls(cells, networks, objective, colormap)
            save(controls, [f"{folder}/controls_{objective}.{kind}" for kind in formats])


def draw_all_depths(
    cells: pd.DataFrame,
    networks: pd.DataFrame,
    triangles: pd.DataFrame,
    folder: Path | str,
    recipes: Mapping[str, Iterable[tuple[str, str]]],
    colormap: str,
    formats: Sequence[str],
) -> None:
    """Draw the average pair of each two recipes into `<folder>/depth_<objective>_<sender>_to_<receiver>.<format>`.

    Args:
        cells, networks, triangles: the tables.
        folder, recipes, colormap, formats: as for `draw_all_overviews`.

    Raises:
        ModelstitchError: if a table lacks the pairs, or a file can't be written.
    """
    cells = with_excess(cells)
    for objective, pairs in recipes.items():
        for sender, receiver in pairs:
            figure = draw_depth(cells, networks, triangles, objective, sender, receiver, colormap)
            save(figure, [f"{folder}/depth_{objective}_{sender}_to_{receiver}.{kind}" for kind in formats])


def _grid(cells: pd.DataFrame, networks: pd.DataFrame, cell: float) -> _Grid:
    rows, columns = (_side(cells, networks, role, cell) for role in ("sender", "receiver"))
    return _Grid(cells, rows, columns, cell)


def _side(cells: pd.DataFrame, networks: pd.DataFrame, role: str, cell: float) -> _Side:
    """Layers of a network touch; there is a gap between networks, and a wider one between architectures."""
    order = [f"{role}_architecture", f"{role}_seed", f"{role}_layer"]
    layers = cells[[role, *order]].drop_duplicates().sort_values(order)
    counts = layers.groupby(role, sort=False).size()
    ids = [NetworkId.parse(name) for name in counts.index]
    starts, spans, edge = [], [], 0.0
    for place, (network, count) in enumerate(zip(ids, counts, strict=True)):
        if place:
            same = network.architecture == ids[place - 1].architecture
            edge += max(0.25 * cell, 0.03) * (1 if same else 2)
        starts.append(edge + cell * np.arange(count))
        spans.append((edge, edge + cell * count))
        edge += cell * count
    with_seed = networks.seed.nunique() > 1
    return _Side(
        names=tuple(f"{one.architecture} s{one.seed}" if with_seed else one.architecture for one in ids),
        accuracies=tuple(number(own_accuracy(networks, name)) for name in counts.index),
        layers=pd.MultiIndex.from_frame(layers[[role, f"{role}_layer"]]),
        starts=np.concatenate(starts),
        spans=tuple(spans),
    )


def _heading(key: tuple[str, str, str], shown: str) -> str:
    """Recipes of sender and receiver, and the objective where it isn't what the figure shows."""
    objective, *recipes = key
    return " → ".join(recipes) + (f", {objective} labels" if objective != shown else "")


def _summary(cells: pd.DataFrame) -> str:
    failed = int(cells.accuracy.isna().sum())
    return f"mean {number(cells.accuracy.mean())}" + (f", {failed} of {len(cells)} failed" if failed else "")


def _draw_cells(axes: Axes, grid: _Grid, left: float, top: float, colormap: str) -> None:
    cells, cell = grid.cells, grid.cell
    y, x = (
        offset + side.starts[side.layers.get_indexer(pd.MultiIndex.from_frame(cells[list(keys)]))]
        for offset, side, keys in zip((top, left), (grid.rows, grid.columns), SIDES, strict=True)
    )
    corners = np.stack([x, y], axis=1)[:, None] + cell * np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    values = cells.accuracy.to_numpy()
    failed = np.isnan(values)
    colours = matplotlib.colormaps[colormap](values)
    if failed.any():  # one path for all: a hatch is drawn for each path anew, and thousands take half a minute
        outlines = [Outline(square, closed=False) for square in corners[failed]]
        axes.add_patch(PathPatch(Outline.make_compound_path(*outlines), **FAILED))
    seamless = {"edgecolors": "face", "linewidths": 0.1, "antialiaseds": False}
    axes.add_collection(PolyCollection(corners[~failed], facecolors=colours[~failed], **seamless))
    if not grid.annotated:
        return
    axes.add_collection(PolyCollection(corners, facecolors="none", edgecolors="white", linewidths=0.8))
    for across, down, value, diverged in zip(x, y, values, cells.diverged, strict=True):
        write_accuracy(axes, across, down, cell, value, colormap, failure="div" if diverged else "n/a")


def _write_layers(axes: Axes, grid: _Grid, left: float, top: float, size: float) -> None:
    style = {"size": size, "color": SOFT}
    for (_, layer), start in zip(grid.rows.layers, grid.rows.starts, strict=True):
        axes.text(left - 0.07, top + start + grid.cell / 2, str(layer), ha="right", va="center_baseline", **style)
    for (_, layer), start in zip(grid.columns.layers, grid.columns.starts, strict=True):
        axes.text(left + start + grid.cell / 2, top - 0.07, str(layer), ha="center", va="baseline", **style)


def _write_networks(axes: Axes, grid: _Grid, left: float, top: float) -> None:
    """Names and own accuracies of senders and receivers, and which of them are which."""
    name_style, own_style = {"size": LABEL, "color": INK}, {"size": SMALL, "color": FAINT}
    edge, ceiling = left - grid.ticks, top - grid.ticks
    for name, own, (start, end) in zip(grid.rows.names, grid.rows.accuracies, grid.rows.spans, strict=True):
        middle = top + (start + end) / 2
        if grid.annotated:
            axes.text(edge, middle - 0.02, name, ha="right", va="baseline", **name_style)
            axes.text(edge, middle + 0.13, own, ha="right", va="baseline", **own_style)
        else:
            axes.text(edge - 0.3, middle, name, ha="right", va="center_baseline", **name_style)
            axes.text(edge, middle, own, ha="right", va="center_baseline", **own_style)
    turn = {"rotation": 90, "va": "bottom"} if grid.upright else {"va": "baseline"}
    for name, own, (start, end) in zip(grid.columns.names, grid.columns.accuracies, grid.columns.spans, strict=True):
        middle = left + (start + end) / 2
        axes.text(middle, ceiling - (0.3 if grid.upright else 0.15), name, ha="center", **turn, **name_style)
        axes.text(middle, ceiling, own, ha="center", **turn, **own_style)
    axes.text(edge, ceiling - 0.15, "receivers →", ha="right", va="baseline", **own_style)
    axes.text(edge, ceiling, "senders ↓", ha="right", va="baseline", **own_style)


def _draw_boundary(axes: Axes, left: float, top: float, slope: float, dashes: str | tuple) -> None:
    """A line of this slope from the upper left corner of the average matrix, seen on dark and on light."""
    end = (left + AVERAGE * min(1, 1 / slope), top + AVERAGE * min(1, slope))
    for colour, width in (("white", 2.6), (INK, 1.1)):
        line = {"color": colour, "linewidth": width, "solid_capstyle": "butt", "dash_capstyle": "butt"}
        axes.plot(*zip((left, top), end, strict=True), linestyle="solid" if colour == "white" else dashes, **line)


def _write_triangle(axes: Axes, left: float, top: float, numbers: pd.Series) -> None:
    """The triangle's numbers, each with its intervals, one below the other."""
    small = {"size": SMALL, "color": SOFT, "va": "baseline"}
    y = top + 0.1
    for text, name in (
        ("at or below the diagonal", "below"),
        ("above it", "above"),
        ("difference", "difference"),
        ("best slope (dashed)", "depth_slope"),
        ("variance explained by it", "depth_explained"),
        ("by the diagonal", "depth_diagonal_explained"),
        ("by equal indices", "index_diagonal_explained"),
    ):
        axes.text(left, y, text, **small)
        axes.text(left + 1.95, y, number(numbers[name]), size=HEADING, color=INK, ha="right", va="baseline")
        for over in ("images", "pairs", "seeds"):
            low, high = (numbers.get(f"{name}_{over}_{end}", math.nan) for end in ("low", "high"))
            if not math.isnan(low):
                y += 0.16
                axes.text(left + 1.95, y, f"{number(low)} to {number(high)} over {over}", ha="right", **small)
        y += 0.3
