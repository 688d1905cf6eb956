import itertools
import math

import pytest
import yaml

from modelstitch.config.study import load_study
from modelstitch.fitting.protocols import paper
from modelstitch.schedule import count_steps, warmup_cosine
from tests.checkout import ROOT


def study(name):
    """The values of a study file."""
    return yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())


def test_a_warm_up_is_linear_and_a_cosine_follows():
    factors = [warmup_cosine(step, 20, 4) for step in range(20)]
    assert factors[:4] == [0.25, 0.5, 0.75, 1.0]
    assert factors[4] == 1.0 and math.isclose(factors[12], 0.5) and 0 < factors[19] < 0.02
    assert factors[4:] == sorted(factors[4:], reverse=True)


def test_a_warm_up_longer_than_the_training_is_the_published_linear_schedule():
    assert [warmup_cosine(step, 4, 5) for step in range(4)] == [0.2, 0.4, 0.6, 0.8]


@pytest.mark.parametrize(
    ("epochs", "batch", "images", "steps"),
    [(4, 256, 50_000, 780), (1, 50, 203, 4), (0.25, 32, 1437, 11), (0.001, 64, 50_000, 1), (3, 100, 150, 3)],
)
def test_steps_are_of_full_batches_and_one_at_least(epochs, batch, images, steps):
    assert count_steps(epochs, batch, images) == steps


def rates_of(name):
    task = load_study(study(name), name).stitches.task
    steps = count_steps(task.epochs, task.batch, 50_000)
    return [paper.rate(task, step, steps, 50_000 // task.batch) for step in range(steps)]


def test_the_rate_of_the_papers_schedule_rises_linearly_to_four_tenths_of_its_peak():
    """195 whole batches of 256 in 50,000 images: 780 steps of a warm-up of 1,950."""
    found = rates_of("paper-schedule")
    assert (len(found), found[0]) == (780, pytest.approx(0.01 / 1950))
    assert [after - before for before, after in itertools.pairwise(found)] == pytest.approx([0.01 / 1950] * 779)
    assert found[-1] == pytest.approx(0.01 * 4 / 10)


def test_the_rate_of_the_papers_study_reaches_its_peak():
    found = rates_of("paper")
    assert len(found) == 780 and max(found) == found[194] == pytest.approx(0.01) and found[-1] < 1e-6


def test_the_schedule_study_trains_as_the_papers_but_for_its_architectures_and_warm_up():
    paper, schedule = study("paper"), study("paper-schedule")
    assert set(schedule["networks"].pop("architectures")) < set(paper["networks"].pop("architectures"))
    for values, warmup in ((paper, 1), (schedule, 10)):
        assert values["stitches"]["task"].pop("warmup_epochs") == warmup
    assert schedule.pop("study") != paper.pop("study")
    assert schedule.pop("measures") == {} != paper.pop("measures")
    assert "similarity" not in schedule["stitches"] and paper["stitches"].pop("similarity")
    assert schedule == paper
