"""What went wrong in a study: networks and stitches whose numbers should not be read as similarity.

These are the signs of a broken study: networks at chance, test accuracy far below train accuracy, losses that never
fell or are not finite, controls that do better.
"""

import math
from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from modelstitch.analysis.controls import EXCESSES_OVER_RANDOM
from modelstitch.analysis.gathering import FIRST_LOSS
from modelstitch.config.stitches import is_control, kind_of

# Three standard errors of a guess among 10 classes on the 360 test digits, the smallest set that ships.
NEAR_CHANCE = 0.05
# In a study of the digits the largest gap of 1,296 stitches was 0.07, on their 360 test images.
OVERFITTED = 0.2
# In nats. In that study two random networks, which leave a stitch nothing to learn, ended within 0.04 of a guess.
LOSS_MARGIN = 0.05
# Three standard errors of the difference of two cells on 10,000 images at accuracy 0.5; a pair's mean has less.
BELOW_CONTROL = 0.02

COLUMNS = {
    "finding": "str",
    "objective": "str",
    "network": "str",
    "sender": "str",
    "receiver": "str",
    "sender_layer": "Int64",
    "receiver_layer": "Int64",
    "value": "float64",
    "limit": "float64",
    "words": "str",
}
CELL = ("objective", "sender", "receiver", "sender_layer", "receiver_layer")
Finding = dict[str, object]


def find(parts: Iterable[pd.DataFrame], networks: pd.DataFrame) -> pd.DataFrame:
    """Every finding of a study, in the order of the tables: networks, then cells, then pairs.

    `finding` is one of

    - `untrained network`: a network of recipe `trained` whose accuracy is at most `NEAR_CHANCE` above chance;
    - `overfitted network`, `overfitted stitch`: train accuracy more than `OVERFITTED` above test accuracy;
    - `diverged`, `no result`: a cell without accuracy;
    - `loss rose`: the train loss of the last epoch is above that of the first, by more than `LOSS_MARGIN` for the task,
      by any amount for similarity (whose loss is a mean squared error);
    - `loss of a guess`: neither the train loss of the last epoch nor the test loss is more than `LOSS_MARGIN` below
      ln(classes), the loss of a guess;
    - `below its control`: the mean accuracy of a pair is more than `BELOW_CONTROL` below that with the sender, the
      receiver or both untrained.

    The last three are looked for in cells of two trained networks only: a random network and remapped labels are there
    to leave a stitch nothing to learn.

    Args:
        parts: the cells table with `first_train_loss`, the train loss of the first epoch; whole, or in parts each of
            which has all cells of its pairs.
        networks: the networks table.

    Returns:
        `COLUMNS`: the finding, where it is, the number and the limit that it passed, and the same in words. Columns
        that do not apply are empty. Without findings there is no row.
    """
    guess = math.log(networks.classes.iloc[0])
    of_cells: list[Finding] = []
    of_pairs: list[Finding] = []
    for cells in parts:
        of_cells += _of_cells(cells[_suspect(cells, guess)], guess)
        of_pairs += _of_pairs(cells)
    found = [*_of_networks(networks), *of_cells, *of_pairs]
    empty = {name: "" if kind == "str" else np.nan for name, kind in COLUMNS.items()}
    return pd.DataFrame([empty | row for row in found], columns=list(COLUMNS)).astype(COLUMNS)


def _of_networks(networks: pd.DataFrame) -> Iterator[Finding]:
    for row in networks.itertuples():
        where = {"network": row.network}
        chance = 1 / row.classes
        if row.recipe == "trained" and row.accuracy <= chance + NEAR_CHANCE:
            words = f"{row.network} didn't train: accuracy {row.accuracy:.3f}, of a guess {chance:.3f}"
            yield where | _finding("untrained network", row.accuracy, chance + NEAR_CHANCE, words)
        if row.train_accuracy - row.accuracy > OVERFITTED:
            words = f"{row.network} {_overfitted(row)}"
            yield where | _finding("overfitted network", row.train_accuracy - row.accuracy, OVERFITTED, words)


def _suspect(cells: pd.DataFrame, guess: float) -> pd.Series:
    """Preselect cells that may have a finding, since a loop over all cells of a large study takes minutes."""
    losses = cells[["train_loss", "test_loss"]].min(axis=1)
    overfitted = cells.train_accuracy - cells.accuracy > OVERFITTED
    rose = cells.train_loss > cells[FIRST_LOSS]
    return cells.accuracy.isna() | overfitted | rose | ~(losses <= guess - LOSS_MARGIN)


def _of_cells(cells: pd.DataFrame, guess: float) -> Iterator[Finding]:
    for row in cells.itertuples():
        where = {name: getattr(row, name) for name in CELL}
        cell = f"{row.sender} layer {row.sender_layer} → {row.receiver} layer {row.receiver_layer}:"
        if np.isnan(row.accuracy):
            kind = "diverged" if row.diverged else "no result"
            yield where | _finding(kind, np.nan, np.nan, f"{cell} {row.reason}")
            continue
        if row.train_accuracy - row.accuracy > OVERFITTED:
            words = f"{cell} {_overfitted(row)}"
            yield where | _finding("overfitted stitch", row.train_accuracy - row.accuracy, OVERFITTED, words)
        if (row.sender_recipe, row.receiver_recipe) != ("trained", "trained") or is_control(row.objective):
            continue
        first = row.first_train_loss
        # A squared error has no scale to give a margin in, and one that fell from a random start ends lower.
        limit = first + (0 if kind_of(row.objective) == "similarity" else LOSS_MARGIN)
        if kind_of(row.objective) in ("task", "similarity") and row.train_loss > limit:
            words = (
                f"{cell} the train loss rose from {first:.3f} in the first epoch to {row.train_loss:.3f} in the last"
            )
            yield where | _finding("loss rose", row.train_loss, limit, words)
        loss = min(row.train_loss, row.test_loss)
        if kind_of(row.objective) == "task" and loss > guess - LOSS_MARGIN:
            words = f"{cell} the loss ends at {loss:.3f}, a guess has {guess:.3f}"
            yield where | _finding("loss of a guess", loss, guess - LOSS_MARGIN, words)


def _of_pairs(cells: pd.DataFrame) -> Iterator[Finding]:
    similar = cells[~cells.objective.map(is_control)]
    for (objective, sender, receiver), pair in similar.groupby(["objective", "sender", "receiver"], sort=False):
        for column in EXCESSES_OVER_RANDOM:
            excess = pair[column].mean()
            if excess < -BELOW_CONTROL:
                where = {"objective": objective, "sender": sender, "receiver": receiver}
                control = column.removeprefix("excess_over_").replace("_", " ")
                words = f"{sender} → {receiver}: {-excess:.3f} less accurate in the mean than with {control}"
                yield where | _finding("below its control", excess, -BELOW_CONTROL, words)


def _overfitted(row: object) -> str:
    return f"has {row.train_accuracy:.3f} of the training images right and {row.accuracy:.3f} of the test images"


def _finding(kind: str, value: float, limit: float, words: str) -> Finding:
    return {"finding": kind, "value": value, "limit": limit, "words": words}
