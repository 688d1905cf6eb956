"""Figures of many matrices: all pairs at a glance, and the controls beside the trained pairs.

Rows are the sender's layers and columns the receiver's, layer 0 at the top left as the paper prints them. A figure is
laid out in inches on one pair of axes, so that cells keep their size and shape whatever the architectures.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline

from modelstitch.analysis.cells import ROLES
from modelstitch.analysis.controls import OVER_REMAPPED, with_excess
from modelstitch.config.stitches import REMAPPED, is_control, is_measured
from modelstitch.figures.canvas import (
    BAR_SPACE,
    FAILED,
    LEAST_BAR,
    LEGIBLE,
    canvas,
    draw_bar,
    number,
    own_accuracy,
    rows_with,
    scale_of,
    stitches_of,
    write_accuracy,
)
from modelstitch.figures.paper import (
    DPI,
    FAINT,
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
    wrapped,
    write_title,
)
from modelstitch.identifiers import RECIPES, NetworkId

LETTER = 0.13  # inches, as all that follow: a network has its name where its layers take as much as a line of text
HIGH = 11.0  # the panels of a figure for a paper are at most this high, where they can be: a page
NAME = 14  # letters of a network's name in a figure for a paper
GAP, LARGEST = 0.3, 0.5  # between panels, and of cells that fill a paper
LONGEST_SIDE = 20.0  # of the cells of many networks
MOST_SQUARES = 200_000  # cells that are drawn one by one; more of them are one picture
# Of the cells table, what the pictures of many pairs show.
COLUMNS = (
    "objective",
    *(f"{role}{of}" for role in ROLES for of in ("", "_architecture", "_recipe", "_seed", "_layer", "_layer_count")),
    "accuracy",
    "relative_accuracy",
    "diverged",
    OVER_REMAPPED,
)
SIDES = (("sender", "sender_layer"), ("receiver", "receiver_layer"))


@dataclass(frozen=True)
class _Side:
    """Positions of the layers of some networks along one side of a grid, in inches, and the networks' names."""

    names: tuple[str, ...]
    accuracies: tuple[str, ...]
    layers: pd.MultiIndex  # (network, layer)
    starts: np.ndarray
    spans: tuple[tuple[float, float], ...]  # first and last edge of each network

    @property
    def length(self) -> float:
        return self.spans[-1][1]

    def shown(self) -> list[tuple[str, str, tuple[float, float]]]:
        """Name, accuracy and edges of all networks or, where there is less room, of every second, third, ... one."""
        every = math.ceil(LETTER * len(self.spans) / self.length)
        return list(zip(self.names, self.accuracies, self.spans, strict=True))[::every]


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
    paper: Paper = NATURAL,
) -> Page:
    """Draw the matrices of all pairs of two recipes, senders from top to bottom and receivers from left to right.

    Cells are as large as the number of layers allows, and show their accuracy where there is room.

    Raises:
        ModelstitchError: if a table lacks the pairs or one of their networks.
    """
    cells = rows_with(cells, objective=objective, sender_recipe=sender_recipe, receiver_recipe=receiver_recipe)
    return _draw_panels(cells, networks, colormap, 9.0, 0.36, paper)


def draw_controls(
    cells: pd.DataFrame, networks: pd.DataFrame, objective: str, colormap: str, paper: Paper = NATURAL
) -> Page:
    """Draw a panel for every combination of recipes, with the matrices of all its pairs, on one colour scale.

    The figure of the task also has panels for the combinations with remapped labels.

    Raises:
        ModelstitchError: if a table lacks the objective or one of the networks.
    """
    chosen = rows_with(cells, objective=objective)
    if objective == "task":
        chosen = pd.concat([chosen, cells[cells.objective == REMAPPED]])
    return _draw_panels(chosen, networks, colormap, 4.2, 0.25, paper)


@dataclass(frozen=True)
class _Plan:
    """The arrangement of a figure's panels: how many side by side, their size, and the room for headings."""

    across: int
    cell: float
    grids: list[_Grid]
    headings: list[list[str]]
    left: float
    pitch: float  # width of a panel with its names

    @property
    def down(self) -> int:
        return math.ceil(len(self.grids) / self.across)

    @property
    def above(self) -> float:
        """Room for headings and names of the receivers."""
        return max(grid.top for grid in self.grids) + 0.2 + 0.2 * max(map(len, self.headings))

    @property
    def height(self) -> float:
        return self.down * (self.above + max(grid.rows.length for grid in self.grids) + GAP) - GAP


@plain()
def _draw_panels(
    cells: pd.DataFrame, networks: pd.DataFrame, colormap: str, room: float, largest: float, paper: Paper
) -> Page:
    """Draw a panel for each combination of objective and recipes: up to three in one row, more of them as a square."""
    # `dict(...)` takes a groupby for a mapping, and fails.
    groups = cells.groupby(["objective", "sender_recipe", "receiver_recipe"], sort=False)
    panels = {key: panel for key, panel in groups}  # noqa: C416
    order = sorted(panels, key=lambda key: [is_control(key[0]), *map(RECIPES.index, key[1:])])
    names = [(_heading(key, cells.objective.iloc[0]), _summary(panels[key])) for key in order]
    plan = _plan([panels[key] for key in order], names, networks, room, largest, paper)
    title = f"All pairs, {' → '.join(order[0][1:])}" if len(order) == 1 else "Trained networks and controls"
    subtitle = f"{stitches_of(cells.objective.iloc[0])} · grey: the network's own accuracy"
    top, start = 0.86, MARGIN + plan.left
    bottom = top + plan.height
    axes = canvas(2 * MARGIN + plan.across * (plan.pitch + GAP) - GAP, bottom + BAR_SPACE)
    write_title(axes, title, subtitle)
    for place, (grid, lines) in enumerate(zip(plan.grids, plan.headings, strict=True)):
        column, row = place % plan.across, place // plan.across
        x, y = start + column * (plan.pitch + GAP), top + row * (plan.height + GAP) / plan.down
        _write_heading(axes, x if len(lines) == 1 else x - plan.left, y + 0.2, lines, _summary(grid.cells))
        _draw_cells(axes, grid, x, y + plan.above, colormap)
        _write_networks(axes, grid, x, y + plan.above)
        if grid.annotated:
            _write_layers(axes, grid, x, y + plan.above)
    hatched = any(not grid.annotated and grid.cells.accuracy.isna().any() for grid in plan.grids)
    whole = plan.across * (plan.pitch + GAP) - GAP - plan.left
    length = max(plan.grids[0].columns.length, min(LEAST_BAR, whole))
    scale = scale_of(cells.objective.iloc[0], networks)
    draw_bar(axes, start, bottom, length, colormap=colormap, hatched=hatched, **scale)
    return finish(axes, paper)


def _plan(
    panels: Sequence[pd.DataFrame],
    headings: Sequence[tuple[str, str]],
    networks: pd.DataFrame,
    room: float,
    largest: float,
    paper: Paper,
) -> _Plan:
    """Arrange panels: up to three in a row at natural size, each at most `room` wide; as large as fits on a paper."""
    longest, least = (math.inf, 0.03) if math.isinf(paper.room) else (NAME, 0.01)
    small, large = ([_grid(panel, networks, cell, longest, least) for panel in panels] for cell in (0.01, LEGIBLE))
    layers = max(len(side.starts) for grid in small for side in (grid.rows, grid.columns))
    if math.isinf(paper.room):
        cell = min(max(room / layers, min(0.03, LONGEST_SIDE / layers)), largest)
        grids = [_grid(panel, networks, cell, longest, least) for panel in panels]
        left = max(grid.left for grid in grids)
        wide = max(text_width(name, HEADING, "bold") + 0.15 + text_width(summary, SMALL) for name, summary in headings)
        across = len(grids) if len(grids) <= 3 else math.ceil(math.sqrt(len(grids)))
        pitch = left + max(wide, LEAST_BAR, *(grid.columns.length for grid in grids))
        return _Plan(across, cell, grids, [[name] for name, _ in headings], left, pitch)
    left = max(grid.left for grid in (*small, *large))
    breaks = max(len(grid.columns.spans) for grid in small) - 1
    for across in range(1, len(panels) + 1):
        pitch = (paper.room - 2 * MARGIN + GAP) / across - GAP
        cell = min(LARGEST, (pitch - left - 2 * least * breaks) / (layers + 0.5 * breaks))
        if cell <= 0 and across > 1:
            break
        grids = [_grid(panel, networks, max(cell, 0.005), longest, least) for panel in panels]
        lines = [_heading_lines(*heading, pitch, pitch - left) for heading in headings]
        found = _Plan(across, cell, grids, lines, left, pitch)
        if found.height < HIGH:
            break
    return found


def _heading_lines(name: str, summary: str, room: float, beside: float) -> list[str]:
    """The lines of a panel's heading; the summary stands beside the name if both fit into one line."""
    if text_width(name, HEADING, "bold") + 0.15 + text_width(summary, SMALL) <= beside:
        return [name]
    return [*wrapped(name, HEADING, room, "bold"), summary]


def _write_heading(axes: Axes, x: float, y: float, lines: Sequence[str], summary: str) -> None:
    bold = {"size": HEADING, "color": INK, "weight": "bold", "va": "baseline"}
    if len(lines) == 1:
        axes.text(x, y, lines[0], **bold)
        x += text_width(lines[0], HEADING, "bold") + 0.15
    for line in lines[:-1]:
        axes.text(x, y, line, **bold)
        y += 0.2
    axes.text(x, y, summary, size=SMALL, color=SOFT, va="baseline")


def draw_all_overviews(
    cells: pd.DataFrame,
    networks: pd.DataFrame,
    folder: Path | str,
    recipes: Mapping[str, Iterable[tuple[str, str]]],
    colormap: str,
    formats: Sequence[str],
    paper: Paper = NATURAL,
    captions: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Draw `<folder>/overview_<objective>_<sender>_to_<receiver>.<format>` for each two recipes, and the controls.

    Args:
        cells, networks: the tables.
        folder: where the pictures go.
        recipes: pairs of recipes by objective; `OVER_REMAPPED` may be one of the objectives.
        colormap, formats, paper: of the pictures.
        captions: the captions, as `overview` and `controls`.

    Raises:
        ModelstitchError: if a table lacks the objective, a pair or a network, or a file can't be written.
    """
    cells = with_excess(cells)
    for objective, pairs in recipes.items():
        for sender, receiver in pairs:
            overview = draw_overview(cells, networks, objective, sender, receiver, colormap, paper)
            paths = [f"{folder}/overview_{objective}_{sender}_to_{receiver}.{kind}" for kind in formats]
            save(overview, paths, captions.get("overview", ""))
        if objective != OVER_REMAPPED and is_measured(objective):
            controls = draw_controls(cells, networks, objective, colormap, paper)
            paths = [f"{folder}/controls_{objective}.{kind}" for kind in formats]
            save(controls, paths, captions.get("controls", ""))


def _grid(cells: pd.DataFrame, networks: pd.DataFrame, cell: float, longest: float, least: float) -> _Grid:
    rows, columns = (_side(cells, networks, role, cell, longest, least) for role in ("sender", "receiver"))
    return _Grid(cells, rows, columns, cell)


def _side(cells: pd.DataFrame, networks: pd.DataFrame, role: str, cell: float, longest: float, least: float) -> _Side:
    """Place layers along a side: those of a network touch, and gaps are wider between architectures than between seeds.

    Args:
        cells, networks, role: which networks.
        cell: size of a cell, in inches.
        longest: the most letters of a name.
        least: the smallest gap between networks, in inches.
    """
    order = [f"{role}_architecture", f"{role}_seed", f"{role}_layer"]
    layers = cells[[role, *order]].drop_duplicates().sort_values(order)
    counts = layers.groupby(role, sort=False).size()
    ids = [NetworkId.parse(name) for name in counts.index]
    starts, spans, edge = [], [], 0.0
    for place, (network, count) in enumerate(zip(ids, counts, strict=True)):
        if place:
            same = network.architecture == ids[place - 1].architecture
            edge += max(0.25 * cell, least) * (1 if same else 2)
        starts.append(edge + cell * np.arange(count))
        spans.append((edge, edge + cell * count))
        edge += cell * count
    with_seed = networks.seed.nunique() > 1
    return _Side(
        names=tuple(_short(one.architecture, longest) + f" s{one.seed}" * with_seed for one in ids),
        accuracies=tuple(number(own_accuracy(networks, name)) for name in counts.index),
        layers=pd.MultiIndex.from_frame(layers[[role, f"{role}_layer"]]),
        starts=np.concatenate(starts),
        spans=tuple(spans),
    )


def _short(name: str, longest: float) -> str:
    return name if len(name) <= longest else name[: int(longest) - 1] + "…"


def _heading(key: tuple[str, str, str], shown: str) -> str:
    """Recipes of sender and receiver, and the objective where it differs from the figure's."""
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
    if len(cells) > MOST_SQUARES:
        _draw_as_one(axes, grid, left, top, colormap)
        return
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


def _draw_as_one(axes: Axes, grid: _Grid, left: float, top: float, colormap: str) -> None:
    """Draw the cells as one image with the figure's own pixels; a cell without a result is grey."""
    places = [
        side.layers.get_indexer(pd.MultiIndex.from_frame(grid.cells[list(keys)]))
        for side, keys in zip((grid.rows, grid.columns), SIDES, strict=True)
    ]
    colours = np.zeros((len(grid.rows.starts) + 1, len(grid.columns.starts) + 1, 4), np.uint8)  # the last: gaps
    values = grid.cells.accuracy.to_numpy()
    colours[*places] = matplotlib.colormaps[colormap](values, bytes=True)
    failed = np.isnan(values)
    colours[*(place[failed] for place in places)] = np.array(matplotlib.colors.to_rgba(FAILED["facecolor"])) * 255
    points = [_points(side, grid.cell) for side in (grid.rows, grid.columns)]
    extent = (left, left + grid.columns.length, top + grid.rows.length, top)
    axes.imshow(colours[np.ix_(*points)], extent=extent, aspect="auto", interpolation="nearest")


def _points(side: _Side, cell: float) -> np.ndarray:
    """The index of the layer that each pixel along a side shows; in a gap, the number of layers."""
    middles = (np.arange(round(side.length * DPI)) + 0.5) / DPI
    found = np.searchsorted(side.starts, middles, side="right") - 1
    return np.where(middles < side.starts[found] + cell, found, len(side.starts))


def _write_layers(axes: Axes, grid: _Grid, left: float, top: float) -> None:
    style = {"size": SMALL, "color": SOFT}
    for (_, layer), start in zip(grid.rows.layers, grid.rows.starts, strict=True):
        axes.text(left - 0.07, top + start + grid.cell / 2, str(layer), ha="right", va="center_baseline", **style)
    for (_, layer), start in zip(grid.columns.layers, grid.columns.starts, strict=True):
        axes.text(left + start + grid.cell / 2, top - 0.07, str(layer), ha="center", va="baseline", **style)


def _write_networks(axes: Axes, grid: _Grid, left: float, top: float) -> None:
    """Write names and own accuracies of senders and receivers, as far as there is room, and label both sides."""
    name_style, own_style = {"size": LABEL, "color": INK}, {"size": SMALL, "color": FAINT}
    edge, ceiling = left - grid.ticks, top - grid.ticks
    for name, own, (start, end) in grid.rows.shown():
        middle = top + (start + end) / 2
        if grid.annotated:
            axes.text(edge, middle - 0.02, name, ha="right", va="baseline", **name_style)
            axes.text(edge, middle + 0.13, own, ha="right", va="baseline", **own_style)
        else:
            axes.text(edge - 0.3, middle, name, ha="right", va="center_baseline", **name_style)
            axes.text(edge, middle, own, ha="right", va="center_baseline", **own_style)
    turn = {"rotation": 90, "va": "bottom"} if grid.upright else {"va": "baseline"}
    for name, own, (start, end) in grid.columns.shown():
        middle = left + (start + end) / 2
        axes.text(middle, ceiling - (0.3 if grid.upright else 0.15), name, ha="center", **turn, **name_style)
        axes.text(middle, ceiling, own, ha="center", **turn, **own_style)
    axes.text(edge, ceiling - 0.15, "receivers →", ha="right", va="baseline", **own_style)
    axes.text(edge, ceiling, "senders ↓", ha="right", va="baseline", **own_style)
