"""The paper's triangle as numbers: can later sender layers, but not earlier ones, stand in for a receiver layer?

A boundary of slope s splits a matrix: cell (i, j) lies at or below it if i >= s * j, where i and j are indices or
relative depths of the layers. The diagonal, where arXiv 2303.11277 sees the triangle end, has slope 1 by relative
depth.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from modelstitch.analysis import gathering, outcomes
from modelstitch.analysis.cells import ROLES
from modelstitch.analysis.controls import OVER_REMAPPED
from modelstitch.analysis.depth import relative_depth
from modelstitch.config.stitches import is_remapped
from modelstitch.identifiers import RECIPES, NetworkId
from modelstitch.seeds import seed_of

RESAMPLES = 1000
QUANTILES = (0.025, 0.975)
KINDS = ("index", "depth")
ALL = "all"  # in place of a network, in the row of all pairs of two recipes
IDS = ("objective", "sender_recipe", "receiver_recipe", "sender", "receiver", "pairs", "cells")
NUMBERS = (
    "below",
    "above",
    "difference",
    *(f"{kind}_{name}" for kind in KINDS for name in ("slope", "explained", "diagonal_explained")),
    "depth_advantage",
)
WITH_INTERVALS = ("below", "above", "difference", "index_slope", "depth_slope", "depth_advantage")
ENDS = ("low", "high")
INTERVALS = tuple(
    f"{name}_{over}_{end}" for name in WITH_INTERVALS for over in ("images", "pairs", "seeds") for end in ENDS
)
ROUNDING = 1e-12  # a sum of squares that equal accuracies may leave; one image in 100,000 more or less leaves more

Slopes = dict[str, np.ndarray]  # by kind


@dataclass(frozen=True)
class Accuracies:
    """The cells with a result of one matrix, C of them.

    Attributes:
        accuracy: (B, C): first on all test images, then on each resample of them.
        slopes: slopes of the boundaries through the cells, (C,).
        layers: sender and receiver layers of the cells, (C, 2).
    """

    accuracy: np.ndarray
    slopes: Slopes
    layers: np.ndarray

    @property
    def below(self) -> np.ndarray:
        """Whether each cell is at or below the diagonal, bool (C,)."""
        return self.slopes["depth"] >= 1

    def sums(self, boundaries: Slopes) -> np.ndarray:
        """The sums from which the numbers are computed; for many matrices, from the mean of their sums.

        Returns:
            (B, 3 + S): the means at or below the diagonal and above it; the sum of squares about the mean; and what
            each of S boundaries explains of it, by index and by relative depth.
        """
        return np.column_stack(
            [
                self.accuracy[:, self.below].mean(axis=1),
                self.accuracy[:, ~self.below].mean(axis=1),
                self.accuracy.var(axis=1) * self.accuracy.shape[1],
                *(squares_explained(self.accuracy, self.slopes[kind], boundaries[kind]) for kind in KINDS),
            ]
        )


@dataclass(frozen=True)
class _Pair:
    """One ordered pair with those of its cells that have a result."""

    objective: str
    sender: NetworkId
    receiver: NetworkId
    cells: Accuracies

    @property
    def order(self) -> tuple:
        """Sorting key: objective and recipes, which are the first three, then the networks."""
        sender, receiver = self.sender, self.receiver
        recipes = (RECIPES.index(sender.recipe), RECIPES.index(receiver.recipe))
        return self.objective, *recipes, sender.architecture, sender.seed, receiver.architecture, receiver.seed

    @property
    def names(self) -> tuple[str, str, str]:
        """The objective and the two recipes."""
        return self.objective, self.sender.recipe, self.receiver.recipe

    @property
    def counts(self) -> bool:
        """Whether there are results on both sides of the diagonal."""
        return 0 < self.cells.below.sum() < len(self.cells.below)


@dataclass
class _Group:
    """All pairs of an objective and two recipes, in order, without their accuracies.

    Attributes:
        pairs: all pairs.
        slopes: slopes of the boundaries that split the matrices of the counting pairs.
        mean: mean of the sums of counting pairs (B, 3 + S), as far as they are added.
        own: sums of each counting pair on all test images, (3 + S).
    """

    pairs: list[_Pair]
    slopes: Slopes = field(default_factory=dict)
    mean: np.ndarray | int = 0
    own: list[np.ndarray] = field(default_factory=list)

    @cached_property
    def counting(self) -> list[_Pair]:
        """Pairs that have results on both sides of the diagonal."""
        return [pair for pair in self.pairs if pair.counts]

    def add(self, sums: np.ndarray) -> None:
        """Add the sums of the next pair that counts."""
        self.mean += sums / len(self.counting)
        self.own.append(sums[0])


def cell_slopes(rows: np.ndarray, columns: np.ndarray, sender_layers: int, receiver_layers: int) -> Slopes:
    """Slopes of the boundaries through cells (rows[c], columns[c]): infinite in the stem's column."""
    row_depths, column_depths = (
        np.array([relative_depth(layer, layers) for layer in axis])
        for axis, layers in ((rows, sender_layers), (columns, receiver_layers))
    )
    later = columns > 0
    slopes = {kind: np.full(len(rows), np.inf) for kind in KINDS}
    slopes["index"][later] = rows[later] / columns[later]
    slopes["depth"][later] = (row_depths[later] / column_depths[later]).round(9)  # equal ones stay equal
    return slopes


def boundaries(matrices: Sequence[Accuracies]) -> Slopes:
    """Slopes of boundaries in ascending order: at least one for each way to split the matrices, and 1."""
    slopes = {kind: np.concatenate([cells.slopes[kind] for cells in matrices]) for kind in KINDS}
    return {kind: np.union1d(values[np.isfinite(values) & (values > 0)], 1) for kind, values in slopes.items()}


def squares_explained(accuracy: np.ndarray, slopes: np.ndarray, boundaries: np.ndarray) -> np.ndarray:
    """Sum of squares explained by two levels, one at or below a boundary and one above it.

    Args:
        accuracy: (B, C).
        slopes: slopes of the boundaries through the cells (C,).
        boundaries: slopes of the boundaries (S,).

    Returns:
        (B, S); 0 where the lower level is at or below the boundary.
    """
    order = np.argsort(-slopes)
    centred = accuracy[:, order] - accuracy.mean(axis=1, keepdims=True)
    below = np.searchsorted(-slopes[order], -boundaries, side="right")
    excess = np.pad(centred.cumsum(axis=1), ((0, 0), (1, 0)))[:, below].clip(min=0)
    sides = below * (len(slopes) - below)
    return np.where(sides > 0, excess**2 * len(slopes) / np.maximum(sides, 1), 0)


def numbers(matrix: pd.DataFrame, sender_layers: int, receiver_layers: int) -> dict[str, float]:
    """The triangle of one matrix: `NUMBERS`, as `measure` describes them.

    Args:
        matrix: accuracies; rows are sender layers, columns receiver layers; NaN for a cell without a result.
        sender_layers, receiver_layers: number of layers of the networks.

    Raises:
        ValueError: if there is no result on one side of the diagonal.
    """
    rows, columns = np.nonzero(matrix.notna())
    layers = matrix.index.to_numpy()[rows], matrix.columns.to_numpy()[columns]
    slopes = cell_slopes(*layers, sender_layers, receiver_layers)
    cells = Accuracies(matrix.to_numpy()[None, rows, columns], slopes, np.stack(layers, axis=1))
    if not 0 < cells.below.sum() < len(rows):
        raise ValueError(
            f"{cells.below.sum()} of {len(rows)} cells are at or below the diagonal: expected some, not all"
        )
    slopes = boundaries([cells])
    return {name: values[0].item() for name, values in _numbers(cells.sums(slopes), slopes).items()}


def numbers_or_nan(matrix: pd.DataFrame, sender_layers: int, receiver_layers: int) -> dict[str, float]:
    """`numbers`, but NaN where they raise an error."""
    try:
        return numbers(matrix, sender_layers, receiver_layers)
    except ValueError:
        return dict.fromkeys(NUMBERS, np.nan)


def _numbers(sums: np.ndarray, slopes: Slopes) -> dict[str, np.ndarray]:
    """`NUMBERS`, (B,) each, from `Accuracies.sums` (B, 3 + S) for boundaries of these slopes."""
    below, above, total = sums[:, :3].T
    found = {"below": below, "above": above, "difference": below - above}
    shares = (sums[:, 3:] / np.where(total > ROUNDING, total, np.inf)[:, None]).clip(max=1)
    for kind, explained in zip(KINDS, np.split(shares, [len(slopes["index"])], axis=1), strict=True):
        most = explained.max(axis=1)
        found[f"{kind}_slope"] = np.where(most > 0, slopes[kind][explained.argmax(axis=1)], np.nan)
        found[f"{kind}_explained"] = most
        found[f"{kind}_diagonal_explained"] = explained[:, slopes[kind] == 1][:, 0]
    return found | {"depth_advantage": found["depth_diagonal_explained"] - found["index_diagonal_explained"]}


def measure(folder: Path | str, seed: int, threads: int = 1) -> pd.DataFrame:
    """The triangles of a study: one row for all pairs of two recipes, then one per pair.

    `below` and `above` are the mean accuracies at or below the diagonal and above it; `difference` is the first less
    the second.

    A boundary explains variance if accuracies are modelled by two levels, with the higher one at or below it.
    `index_slope` and `depth_slope` are the slopes of the boundaries that explain most, by index and by relative depth.
    `..._explained` is the share of variance that they explain, `..._diagonal_explained` that of the boundary of slope
    1, and `depth_advantage` how much more the diagonal explains by relative depth than by index. In a single matrix
    both kinds have the same boundaries, so that only slopes and diagonals differ. For many pairs, means are means of
    the pairs' own means, and one slope serves all matrices, each with two levels of its own.

    Intervals, `<number>_<over>_low` and `_high`, hold 95 % of a bootstrap: over test images (the same resample for all
    cells); over pairs; or over seeds, where the weight of a pair is how often its sender's seed was drawn times how
    often its receiver's was.

    For pairs with remapped labels there is one more objective, the excess of the task over remapped labels: the
    triangle of what no other labelling reaches.

    Senders are read one after the other, twice: first for the boundaries that all pairs of two recipes share, then for
    the outcomes. So only the pairs of one sender are held in memory.

    Args:
        folder: what `gathering.gather` made of the study's records.
        seed: seed of the study.
        threads: threads that resample pairs.

    Returns:
        `IDS`, where `pairs` and `cells` are the numbers of those that count, `NUMBERS`, and `INTERVALS`. A pair without
        results on both sides of the diagonal does not count, and has NaN. A slope is NaN if no boundary explains
        anything; an interval over pairs or seeds is NaN if there is only one of them.

    Raises:
        ModelstitchError: if a file is missing or damaged.
    """
    paths = gathering.files(folder)
    groups: dict[tuple, _Group] = {}
    for pair in sorted((pair for path in paths for pair in _pairs(path)), key=lambda pair: pair.order):
        groups.setdefault(pair.order[:3], _Group([])).pairs.append(pair)
    for group in groups.values():
        if group.counting:
            group.slopes = boundaries([pair.cells for pair in group.counting])
    test_images = int(gathering.read(paths[0], ["test_images"]).test_images.iloc[0])
    images = drawn(test_images, seed_of(seed, "triangle", "images"))
    counts = np.vstack([np.ones_like(images[:1]), images]).astype(np.float32)
    rows: list[tuple[tuple, dict[str, object]]] = []

    def resample(pair: _Pair) -> tuple[_Pair, np.ndarray | None, dict[str, object]]:
        sums = pair.cells.sums(groups[pair.order[:3]].slopes) if pair.counts else None
        return pair, sums, _row_of_pair(pair)

    with ThreadPoolExecutor(threads) as pool:
        for path in paths:
            # In the order of pairs, in which means over them are summed.
            for pair, sums, row in pool.map(resample, sorted(_pairs(path, counts), key=lambda pair: pair.order)):
                rows.append((pair.order, row))
                if sums is not None:
                    groups[pair.order[:3]].add(sums)
    rows.sort(key=lambda each: each[0])
    every = [_row_of_group(group, seed) for group in groups.values()]
    return pd.DataFrame([*every, *(row for _, row in rows)], columns=[*IDS, *NUMBERS, *INTERVALS])


def drawn(count: int, seed: int) -> np.ndarray:
    """How often each of `count` items is drawn in bootstrap resamples, (RESAMPLES, count)."""
    generator = np.random.default_rng(seed)
    return np.stack([np.bincount(generator.integers(count, size=count), minlength=count) for _ in range(RESAMPLES)])


def interval(values: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of the values; NaN where there are none."""
    values = values[~np.isnan(values)]
    return tuple(np.quantile(values, QUANTILES).tolist()) if len(values) else (np.nan, np.nan)


def _pairs(path: Path, counts: np.ndarray | None = None) -> Iterator[_Pair]:
    """The pairs of a sender and their excesses over remapped labels, with accuracies in resamples of the images.

    `counts` (B, images) says how often each image is in each resample; without it accuracies are empty, (0, C).
    """
    columns = ["objective", "sender", "receiver", *(f"{role}_layer{of}" for role in ROLES for of in ("", "_count"))]
    table = gathering.read(path, [*columns, "reason"])
    # The image is no layer: it has no depth.
    kept = ((table.reason == "") & (table.sender_layer >= 0)).to_numpy()
    accuracy = np.empty((0, len(table)))
    if counts is not None:
        accuracy = _resampled(gathering.read_right(path), counts)
    pairs = []
    for (objective, sender, receiver), cells in table.groupby(["objective", "sender", "receiver"], sort=False):
        chosen = cells.index.to_numpy()[kept[cells.index]]
        layers = table[["sender_layer", "receiver_layer"]].to_numpy()[chosen]
        slopes = cell_slopes(*layers.T, *cells[["sender_layer_count", "receiver_layer_count"]].iloc[0])
        accuracies = Accuracies(np.ascontiguousarray(accuracy[:, chosen]), slopes, layers)
        pairs.append(_Pair(objective, NetworkId.parse(sender), NetworkId.parse(receiver), accuracies))
    yield from pairs
    yield from _over_remapped(pairs)


def _resampled(packed: np.ndarray, counts: np.ndarray, block: int = 512) -> np.ndarray:
    """Accuracies (B, C) of cells with packed outcomes, in resamples with these counts of images (B, images)."""
    images = counts.shape[1]
    found = np.empty((len(counts), len(packed)))
    for start in range(0, len(packed), block):
        right = outcomes.unpack(packed[start : start + block], images).astype(np.float32)
        # Sums of whole numbers are exact in float32 up to 16.7 million images.
        found[:, start : start + block] = (counts @ right.T).astype(np.float64) / images
    return found


def _over_remapped(pairs: Sequence[_Pair]) -> Iterator[_Pair]:
    """For each pair with remapped labels: the task's accuracies less their mean on these, in cells that have all."""
    controls: dict[tuple[NetworkId, NetworkId], list[_Pair]] = {}
    for pair in pairs:
        if is_remapped(pair.objective):
            controls.setdefault((pair.sender, pair.receiver), []).append(pair)
    for pair in pairs:
        found = controls.get((pair.sender, pair.receiver), [])
        if pair.objective != "task" or not found:
            continue
        layers = {tuple(layers) for layers in pair.cells.layers.tolist()}
        layers = sorted(layers.intersection(*(map(tuple, one.cells.layers.tolist()) for one in found)))
        task, *remapped = (_of_layers(one.cells, layers) for one in (pair, *found))
        over = task.accuracy - np.mean([one.accuracy for one in remapped], axis=0)
        yield replace(pair, objective=OVER_REMAPPED, cells=replace(task, accuracy=over))


def _of_layers(cells: Accuracies, layers: Sequence[tuple[int, int]]) -> Accuracies:
    """The cells of these layers, in their order."""
    places = {tuple(layers): place for place, layers in enumerate(cells.layers.tolist())}
    chosen = [places[each] for each in layers]
    slopes = {kind: values[chosen] for kind, values in cells.slopes.items()}
    return Accuracies(cells.accuracy[:, chosen], slopes, cells.layers[chosen])


def _row_of_pair(pair: _Pair) -> dict[str, object]:
    row = _ids(pair, str(pair.sender), str(pair.receiver), [pair] if pair.counts else [])
    if not pair.counts:
        return row
    slopes = boundaries([pair.cells])
    values = _numbers(pair.cells.sums(slopes), slopes)
    return row | {name: found[0] for name, found in values.items()} | _intervals("images", values, start=1)


def _row_of_group(group: _Group, seed: int) -> dict[str, object]:
    pairs = group.counting
    row = _ids(group.pairs[0], ALL, ALL, pairs)
    if not pairs:
        return row
    values = _numbers(group.mean, group.slopes)
    row |= {name: found[0] for name, found in values.items()} | _intervals("images", values, start=1)
    for over, weights in _weights(pairs, seed_of(seed, "triangle", *group.pairs[0].names)):
        resampled = weights @ np.array(group.own) / weights.sum(axis=1, keepdims=True)
        row |= _intervals(over, _numbers(resampled, group.slopes))
    return row


def _ids(first: _Pair, sender: str, receiver: str, counting: Sequence[_Pair]) -> dict[str, object]:
    cells = sum(len(pair.cells.below) for pair in counting)
    return dict(zip(IDS, (*first.names, sender, receiver, len(counting), cells), strict=True))


def _intervals(over: str, resamples: dict[str, np.ndarray], start: int = 0) -> dict[str, float]:
    """`INTERVALS` of numbers over resamples; the first `start` of them are left out."""
    ends = {name: interval(resamples[name][start:]) for name in WITH_INTERVALS}
    return {f"{name}_{over}_{end}": value for name, both in ends.items() for end, value in zip(ENDS, both, strict=True)}


def _weights(pairs: Sequence[_Pair], seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """Weights of pairs in resamples of pairs and of seeds, (resamples, pairs); none if there is only one of them."""
    if len(pairs) == 1:
        return
    yield "pairs", drawn(len(pairs), seed)
    seeds = sorted({network.seed for pair in pairs for network in (pair.sender, pair.receiver)})
    if len(seeds) > 1:
        places, draws = {one: place for place, one in enumerate(seeds)}, drawn(len(seeds), seed)
        drawn_pairs = draws[:, [places[pair.sender.seed] for pair in pairs]]
        drawn_pairs *= draws[:, [places[pair.receiver.seed] for pair in pairs]]
        yield "seeds", drawn_pairs[drawn_pairs.any(axis=1)]
