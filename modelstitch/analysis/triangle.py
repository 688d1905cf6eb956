"""The paper's triangle as numbers: can a later sender layer stand in for a receiver layer, and an earlier one not?

A boundary of slope s parts a matrix: cell (i, j) lies at or below it where i >= s * j, of layers by index or by
relative depth. The diagonal, where arXiv 2303.11277 sees the triangle end, has slope 1 by relative depth.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd

from modelstitch.analysis import outcomes
from modelstitch.analysis.controls import OVER_REMAPPED
from modelstitch.analysis.depth import relative_depth
from modelstitch.analysis.evidence import Evidence
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
INTERVALS = tuple(
    f"{name}_{over}_{end}"
    for name in WITH_INTERVALS
    for over in ("images", "pairs", "seeds")
    for end in ("low", "high")
)
ROUNDING = 1e-12  # a sum of squares that equal accuracies may leave; one image in 100,000 more or less leaves more

Slopes = dict[str, np.ndarray]  # by kind


@dataclass(frozen=True)
class Accuracies:
    """The cells with a result of one matrix, C of them.

    Attributes:
        accuracy: (B, C), of all test images, then of each resample of them.
        slopes: of the boundaries that run through the cells, (C,).
        layers: the cells' sender and receiver layers, (C, 2).
    """

    accuracy: np.ndarray
    slopes: Slopes
    layers: np.ndarray

    @property
    def below(self) -> np.ndarray:
        """Whether each cell is at or below the diagonal, bool (C,)."""
        return self.slopes["depth"] >= 1

    def sums(self, boundaries: Slopes) -> np.ndarray:
        """What the numbers are made of; those of many matrices are made of its mean over them.

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
    """One ordered pair and its cells with a result."""

    objective: str
    sender: NetworkId
    receiver: NetworkId
    cells: Accuracies

    @property
    def order(self) -> tuple:
        """By objective and recipes, the first three, then by network."""
        sender, receiver = self.sender, self.receiver
        recipes = (RECIPES.index(sender.recipe), RECIPES.index(receiver.recipe))
        return self.objective, *recipes, sender.architecture, sender.seed, receiver.architecture, receiver.seed

    @property
    def counts(self) -> bool:
        """Whether there are results on both sides of the diagonal."""
        return 0 < self.cells.below.sum() < len(self.cells.below)


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
    """Slopes of the boundaries that part the matrices, one of each parting at least, and 1, in ascending order."""
    slopes = {kind: np.concatenate([cells.slopes[kind] for cells in matrices]) for kind in KINDS}
    return {kind: np.union1d(values[np.isfinite(values) & (values > 0)], 1) for kind, values in slopes.items()}


def squares_explained(accuracy: np.ndarray, slopes: np.ndarray, boundaries: np.ndarray) -> np.ndarray:
    """Sum of squares that two levels explain, one at or below each boundary and one above.

    Args:
        accuracy: (B, C).
        slopes: of the boundaries through the cells (C,).
        boundaries: slopes (S,).

    Returns:
        (B, S): 0 where the level below isn't the higher one.
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
        matrix: accuracies, rows by sender layer, columns by receiver layer; a cell without a result is NaN.
        sender_layers, receiver_layers: how many layers the networks have.

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
    """`numbers`, all of them NaN where there is no result on one side of the diagonal."""
    try:
        return numbers(matrix, sender_layers, receiver_layers)
    except ValueError:
        return dict.fromkeys(NUMBERS, np.nan)


def _numbers(sums: np.ndarray, slopes: Slopes) -> dict[str, np.ndarray]:
    """`NUMBERS` (B,) of `Accuracies.sums` (B, 3 + S) for boundaries of these slopes."""
    below, above, total = sums[:, :3].T
    found = {"below": below, "above": above, "difference": below - above}
    shares = (sums[:, 3:] / np.where(total > ROUNDING, total, np.inf)[:, None]).clip(max=1)
    for kind, explained in zip(KINDS, np.split(shares, [len(slopes["index"])], axis=1), strict=True):
        most = explained.max(axis=1)
        found[f"{kind}_slope"] = np.where(most > 0, slopes[kind][explained.argmax(axis=1)], np.nan)
        found[f"{kind}_explained"] = most
        found[f"{kind}_diagonal_explained"] = explained[:, slopes[kind] == 1][:, 0]
    return found | {"depth_advantage": found["depth_diagonal_explained"] - found["index_diagonal_explained"]}


def measure(paths: Sequence[Path | str], evidence: Evidence, seed: int) -> pd.DataFrame:
    """The triangles of a study: one row for all pairs of two recipes, then one per pair.

    `below` and `above` are the mean accuracies at or below the diagonal and above it, `difference` the first less the
    second. `index_slope` and `depth_slope` are those of the boundary that explains most of the variance by two levels,
    the higher below; `..._explained` is the share that it explains, `..._diagonal_explained` that of slope 1, and
    `depth_advantage` how much more the diagonal explains by relative depth than by index. In one matrix both kinds have
    the same boundaries, so that only slopes and diagonals differ. For many pairs the means are over the pairs' own, and
    one slope serves all matrices, each with two levels of its own.

    Intervals, `<number>_<over>_low` and `_high`, hold 95 % of a bootstrap: over test images, the same for all cells;
    over pairs; over seeds, where a pair counts as often as its sender's seed was drawn times its receiver's.

    Of pairs with remapped labels the task's accuracies less those on them are a further objective: the triangle of what
    no other labelling reaches.

    Args:
        paths: the records of the pairs.
        evidence: what they are held against.
        seed: the study's.

    Returns:
        `IDS` (`pairs` and `cells`: how many count), `NUMBERS`, `INTERVALS`. A pair without a result on both sides of
        the diagonal has NaN and counts nowhere. A slope is NaN where no boundary explains anything; an interval over
        pairs or seeds where there is only one.

    Raises:
        ModelstitchError: as `Evidence.read`.
    """
    images = drawn(len(evidence.labels), seed_of(seed, "triangle", "images"))
    counts = np.vstack([np.ones_like(images[:1]), images]).astype(np.float32)
    recorded = [_read(path, evidence, counts) for path in paths]
    pairs = sorted([*recorded, *_over_remapped(recorded)], key=lambda pair: pair.order)
    groups = [list(group) for _, group in groupby(pairs, lambda pair: pair.order[:3])]
    rows = [_row(group, ALL, ALL, seed) for group in groups]
    rows += [_row([pair], str(pair.sender), str(pair.receiver), seed) for pair in pairs]
    return pd.DataFrame(rows, columns=[*IDS, *NUMBERS, *INTERVALS])


def drawn(count: int, seed: int) -> np.ndarray:
    """How often each of `count` things is in a resample of as many (RESAMPLES, count)."""
    generator = np.random.default_rng(seed)
    return np.stack([np.bincount(generator.integers(count, size=count), minlength=count) for _ in range(RESAMPLES)])


def interval(values: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of the values; NaN where there are none."""
    values = values[~np.isnan(values)]
    return tuple(np.quantile(values, QUANTILES).tolist()) if len(values) else (np.nan, np.nan)


def _read(path: Path | str, evidence: Evidence, counts: np.ndarray) -> _Pair:
    """A record, with accuracies of images that count so often (B, images)."""
    cells = outcomes.read(path, evidence)
    record = cells.record
    sender, receiver = (NetworkId.parse(record.attributes[role]) for role in ("sender", "receiver"))
    kept = cells.layers[:, 0] >= 0  # the image is no layer: it has no depth
    # Sums of whole numbers are exact in float32 up to 16.7 million images.
    accuracy = (counts @ cells.right[kept].T.astype(np.float32)).astype(np.float64) / counts.shape[1]
    slopes = cell_slopes(*cells.layers[kept].T, len(record.sender), len(record.receiver))
    accuracies = Accuracies(accuracy, slopes, cells.layers[kept])
    return _Pair(record.attributes["objective"], sender, receiver, accuracies)


def _over_remapped(pairs: Sequence[_Pair]) -> Iterator[_Pair]:
    """Of each pair with remapped labels the task's accuracies less the mean on these, where all have a result."""
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
    """Some of the cells, in the order of their layers."""
    places = {tuple(layers): place for place, layers in enumerate(cells.layers.tolist())}
    chosen = [places[each] for each in layers]
    slopes = {kind: values[chosen] for kind, values in cells.slopes.items()}
    return Accuracies(cells.accuracy[:, chosen], slopes, cells.layers[chosen])


def _row(pairs: Sequence[_Pair], sender: str, receiver: str, seed: int) -> dict[str, object]:
    objective, recipes = pairs[0].objective, (pairs[0].sender.recipe, pairs[0].receiver.recipe)
    pairs = [pair for pair in pairs if pair.counts]
    cells = sum(len(pair.cells.below) for pair in pairs)
    row = dict(zip(IDS, (objective, *recipes, sender, receiver, len(pairs), cells), strict=True))
    if not pairs:
        return row
    slopes = boundaries([pair.cells for pair in pairs])
    mean, own = 0, []
    for pair in pairs:
        sums = pair.cells.sums(slopes)
        mean += sums / len(pairs)
        own.append(sums[0])
    values = _numbers(mean, slopes)
    row |= {name: found[0] for name, found in values.items()}
    resamples = {"images": {name: found[1:] for name, found in values.items()}}
    for over, weights in _weights(pairs, seed_of(seed, "triangle", objective, *recipes)).items():
        resamples[over] = _numbers(weights @ own / weights.sum(axis=1, keepdims=True), slopes)
    for over, found in resamples.items():
        for name in WITH_INTERVALS:
            row[f"{name}_{over}_low"], row[f"{name}_{over}_high"] = interval(found[name])
    return row


def _weights(pairs: Sequence[_Pair], seed: int) -> dict[str, np.ndarray]:
    """How much each pair counts in resamples of pairs and of seeds (resamples, pairs), where there are several."""
    weights = {"pairs": drawn(len(pairs), seed)} if len(pairs) > 1 else {}
    seeds = sorted({network.seed for pair in pairs for network in (pair.sender, pair.receiver)})
    if len(pairs) > 1 and len(seeds) > 1:
        draws = drawn(len(seeds), seed)
        senders, receivers = (
            draws[:, [seeds.index(network.seed) for network in role]]
            for role in zip(*((pair.sender, pair.receiver) for pair in pairs), strict=True)
        )
        drawn_pairs = senders * receivers
        weights["seeds"] = drawn_pairs[drawn_pairs.any(axis=1)]
    return weights
