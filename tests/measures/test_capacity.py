"""Accuracy by what a stitch can express: numbers of hand-made records, and of a pair that is trained."""

import numpy as np
import pandas as pd
import pytest

from modelstitch.config.families import Family, label
from modelstitch.config.measures import Capacity
from modelstitch.config.section import read
from modelstitch.figures import capacity as figures
from modelstitch.fitting.pair import train_pair
from modelstitch.measures import capacity
from tests.records import made
from tests.settings import FAST

SENDER, RECEIVER = "R1111_trained_s0", "R1112_trained_s0"
# Dimension of what a 1 x 1 stitch between 4 channels expresses.
EXPECTED = {
    "bias": 4,
    "low-rank-1": 11,
    "orthogonal": 11,
    "permutation": 8,
    "linear": 20,
    "convolution-3": 148,
    "mlp-8": 68,
}
FAMILIES = [
    {"name": "bias"},
    {"name": "low-rank", "rank": 1},
    {"name": "orthogonal"},
    {"name": "permutation"},
    {"name": "linear"},
    {"name": "convolution", "kernel": 3},
    {"name": "mlp", "hidden": 8},
]
NUMBERS = {"epochs": 2.0, "learning_rate": 1e-2, "weight_decay": 0.0, "statistics_images": 300, "start": "random"}


@pytest.fixture
def table(tmp_path):
    """Two objectives of every family: the task at .8 in all, remapped labels rising from .1 to .7."""
    paths = []
    for index, family in enumerate(FAMILIES):
        for objective, accuracy in (("task", 0.8), ("remapped", 0.1 * (index + 1))):
            columns = [made.column(j, np.full(5, accuracy)) for j in range(6)]
            about = {"objective": objective, "settings": {"family": family}}
            name = label(read(Family, family))
            paths.append(made.write(tmp_path, made.record(columns, SENDER, RECEIVER, **about), name))
    return capacity.cells(paths, made.EVIDENCE)


def test_capacity_is_that_counted_by_hand(table):
    assert len(table) == len(FAMILIES) * 2 * 5 * 6
    for family, dimension in EXPECTED.items():
        assert (table[table.family == family].capacity == dimension).all()
    assert table[table.objective == "remapped"].groupby("family").accuracy.mean()["linear"] == pytest.approx(0.5)


def test_the_figure_has_a_curve_for_each_objective(table):
    networks = pd.DataFrame({"network": [SENDER, RECEIVER], "classes": 10, "accuracy": [0.8, 0.9], "seed": 0})
    _, panel = figures.draw(table, networks).axes
    task, remapped, *guides, own, chance = panel.lines
    assert len(guides) == len(EXPECTED)
    np.testing.assert_allclose(task.get_ydata(), 0.8)
    assert task.get_xdata().tolist() == sorted(EXPECTED.values())
    assert remapped.get_ydata()[0] == pytest.approx(0.1) and remapped.get_ydata()[-1] == pytest.approx(0.6)
    assert (chance.get_ydata()[0], own.get_ydata()[0]) == (0.1, 0.9)
    assert {text.get_text() for text in panel.texts} >= set(EXPECTED)


def test_a_family_is_trained_as_the_task_is_but_by_adam():
    pairs, family = ({"sender": SENDER, "receiver": RECEIVER},), read(Family, FAMILIES[1])
    measure = Capacity(pairs=pairs, families=tuple(FAMILIES), **NUMBERS)
    settings = measure.training(FAST, family)
    assert (settings.protocol, settings.family, settings.start, settings.epochs) == ("adam", family, "random", 2.0)
    assert (settings.batch, settings.augmentation) == (FAST.batch, FAST.augmentation)


@pytest.mark.parametrize("family", [read(Family, each) for each in FAMILIES], ids=label)
@pytest.mark.parametrize("start", ["least-squares", "random"])
def test_every_family_learns_by_adam(few_digits, trained, family, start):
    """From a layer to itself; a start by least squares is the network itself, or near it."""
    numbers = NUMBERS | {"start": start, "epochs": 4.0}
    measure = Capacity(pairs=({"sender": SENDER, "receiver": SENDER},), families=(family,), **numbers)
    layers = {"sender_layers": [2], "receiver_layers": [2]}
    record = train_pair(trained, trained, few_digits, measure.training(FAST, family), study_seed=0, **layers).record
    column = record.columns[0]
    assert not column.diverged.any()
    if start == "random":
        assert column.train_loss[0, -1] < column.train_loss[0, 0]
    if start == "least-squares" and family.name not in ("low-rank", "mlp"):
        assert column.test_accuracy[0] > 0.6
