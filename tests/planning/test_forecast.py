"""What a study will take: its jobs, and how fast this machine is."""

import itertools
import os
import subprocess
import sys
import time

import pytest
from torch.utils.flop_counter import FlopCounterMode

from modelstitch.config.stitches import Control
from modelstitch.config.study import Study
from modelstitch.data.datasets import Sizes
from modelstitch.errors import ModelstitchError
from modelstitch.planning import disk, operations, requests
from modelstitch.planning.forecast import duration, forecast, table
from modelstitch.planning.jobs import MAKING_SECONDS, STITCHING_SECONDS, Job, Stage, stages
from modelstitch.planning.speed import (
    ASLEEP,
    PairCells,
    Speed,
    Stopwatch,
    cells_of,
    estimates,
    in_order,
    key_of,
    kinds,
    measure_together,
    network_run,
    noise,
    pair_runs,
    prepare_pair,
    rate,
    until,
)
from modelstitch.repeating import FIRST_STEPS
from tests.planning.plans import planned, study_of, with_task
from tests.settings import stitch_settings

FEW = Sizes((3, 32, 32), 24, 12, 10)
PAIR = "task R1111 R1111"
SPEED = Speed(2.0, 1.0, 1.0, {"R1111": 1e-10}, {PAIR: 0.5}, {PAIR: 3e-10}, {PAIR: 1e-10})
RULES = {"dataset_rules": ["prepare_dataset"], "drawn": {"make_tables": 0, "draw_depths": 4, "draw_pairs": 90}}
SELF = ("R1111_trained_s0", "R1111_trained_s0", range(5), range(5))


def laptop(width: int = 8, architectures: tuple[str, ...] = ("R1111", "R1112", "R1122"), **jobs) -> Study:
    return study_of("cifar10-laptop", networks={"width": width, "architectures": list(architectures)}, jobs=jobs)


def test_jobs_and_cells_are_those_of_the_study():
    found = stages(planned(laptop()), SPEED, **RULES)
    assert [len(stage.jobs) for stage in found] == [1, 2 * 6, 36 + 9, 3]
    assert sum(job.cells for job in found[2].jobs) == (4 + 1) * (5 + 6 + 7) ** 2
    cut = stages(planned(laptop(layers_per_job=3)), SPEED, ["download", "prepare_dataset"], RULES["drawn"])
    assert [len(stage.jobs) for stage in cut] == [2, 2 * 6, 15 * (2 + 2 + 3) + 45, 3]
    assert sum(job.cells for job in cut[2].jobs) == (4 + 1) * (5 + 6 + 7) ** 2
    for whole, blocks in zip(found[:2], cut[:2], strict=True):
        assert sum(job.bytes for job in whole.jobs) == sum(job.bytes for job in blocks.jobs)


def test_a_job_takes_its_start_and_its_operations_at_their_rates():
    plan = planned(laptop(architectures=("R1111",)))
    _, networks, stitches, _ = stages(plan, SPEED, **RULES)
    assert networks.jobs[0].seconds == pytest.approx(
        2 + MAKING_SECONDS + 1e-10 * operations.network(plan, "R1111_trained_s0")
    )
    training, evaluation = operations.training(plan, "task", *SELF), operations.evaluation(plan, *SELF)
    assert stitches.jobs[0].seconds == pytest.approx(
        2 + STITCHING_SECONDS + 0.5 + 3e-10 * training + 1e-10 * evaluation
    )
    assert stitches.jobs[0].flops == training + evaluation


def test_the_control_from_the_image_starts_one_row_and_is_not_what_its_kind_is_measured_by():
    study = laptop(architectures=("R1111",))
    stitches = study.stitches.model_copy(update={"remapped": None, "image": Control(pairs=None)})
    plan = planned(study.model_copy(update={"stitches": stitches}))
    jobs = {job.name: job for stage in stages(plan, SPEED, **RULES) for job in stage.jobs}
    into = (*SELF[:2], [-1], range(5))
    flops = operations.training(plan, "image", *into), operations.evaluation(plan, *into)
    job = jobs["stitch_pair/image/R1111_trained_s0/R1111_trained_s0"]
    assert job.seconds == pytest.approx(2 + STITCHING_SECONDS + 0.5 / 5 + 3e-10 * flops[0] + 1e-10 * flops[1])
    assert {key: cells.size for key, cells in kinds(plan).items()} == {PAIR: 25}


def test_a_job_asks_for_the_memory_that_a_scheduler_is_asked_for():
    plan = planned(laptop(architectures=("R1111",), layers_per_job=3))
    dataset, networks, stitches, _ = stages(plan, SPEED, **RULES)
    assert dataset.jobs[0].memory == requests.dataset_mb(plan)
    assert networks.jobs[0].memory == requests.network_mb(plan, SELF[0])
    assert [job.memory for job in stitches.jobs[:3]] == [
        requests.pair_mb(plan, "task", *SELF[:3], range(3)),
        requests.pair_mb(plan, "task", *SELF[:3], range(3, 5)),
        requests.joining_mb(plan, *SELF[:2]),
    ]


def test_what_was_not_measured_goes_at_a_rate_of_its_section_sender_and_receiver():
    rates = {"task A A": 1.0, "task A B": 3.0, "task B A": 2.0, "soft A A": 1.5}
    assert rate(rates, "task A B") == 3
    assert rate(rates, "task B B") == pytest.approx(6, rel=0.15)
    assert rate(rates, "soft A B") == pytest.approx(4.5, rel=0.15)
    assert rate({"R1111": 1.0, "R1112": 4.0}, "R2222") == pytest.approx(2)
    assert rate({"similarity A A": 0.0}, "similarity A B") == 0
    rates |= {"similarity A A": 4.0, "similarity B B": 9.0}
    assert estimates(rates, ["similarity A B"], apart=["similarity"]) == {"similarity A B": pytest.approx(6)}
    assert estimates(rates, ["task B B"], ["similarity"])["task B B"] == pytest.approx(6, rel=0.15)
    assert estimates(rates, ["task B B"], ["hacking"]) == estimates(rates, ["task B B"])
    assert estimates({"similarity A A": 4.0}, ["task A A"], ["similarity"])["task A A"] == pytest.approx(4)


def test_controls_that_are_trained_otherwise_take_the_time_of_their_architecture():
    found = planned(study_of("controls")).representatives
    assert found["shuffled"] == found["shortcut-50"] == found["another-seed"] == "R1111"
    assert found["bottleneck-4"] == "bottleneck-4"
    training = study_of("controls").networks.training.model_copy(update={"batch": 64})
    other = {"model": "R1111", "name": "other", "training": training.model_dump()}
    plan = planned(study_of("cifar10-laptop", networks={"architectures": ["R1111", other]}))
    assert plan.representatives == {"R1111": "R1111", "other": "other"}


def test_words_that_were_not_measured_yet_are_measured_early():
    pairs = [f"{section} {sender} {receiver}" for section in ("task", "soft") for sender in "ABC" for receiver in "ABC"]
    ordered = list(in_order(pairs))
    assert sorted(ordered) == sorted(pairs) and ordered == list(in_order(reversed(pairs)))
    assert {word for key in ordered[:3] for word in enumerate(key.split())} == {
        *enumerate(("task",)),
        *enumerate(("soft",)),
        *((place, name) for place in (1, 2) for name in "ABC"),
    }


def test_a_stage_takes_as_long_as_its_longest_job_or_all_of_them_on_all_cores():
    stage = Stage("stitches", [Job("stitch_pair", seconds) for seconds in (10, 2, 2, 2)], threads=2)
    assert [stage.wall_seconds(jobs) for jobs in (1, 2, 100)] == [16, 10, 10]
    assert Stage("stitches", [Job("stitch_pair", 2)] * 10).wall_seconds(4) == 5
    assert stage.core_seconds == 32


def test_kept_stitches_take_their_place_on_the_disk():
    plan = planned(laptop(architectures=("R1111",)))
    keeping = planned(with_task(plan.study, keep_stitches=True))
    before, after = (stages(each, SPEED, **RULES)[2].jobs[0].bytes for each in (plan, keeping))
    assert after - before == disk.stitches(plan, *SELF) > 100_000


def test_cells_are_those_of_every_pair_and_objective():
    plan = planned(study_of("paper-laptop"))
    found = list(cells_of(plan))
    assert len(found) == 2 * len(plan.study.ordered_pairs()) + len(plan.study.ordered_pairs("remapped"))
    assert {cells.objective for cells in found} == {"task", "similarity", "remapped"}
    keys = [key_of(plan, cells) for cells in found]
    assert {key.split()[0] for key in keys} == {"task", "similarity"}  # trained as the task, as fast
    assert found[1] == ("task", "R1111_trained_s0", "R1112_trained_s0", list(range(5)), list(range(6)))
    assert keys[1] == "task R1111 R1112"


def test_operations_of_what_is_measured_are_those_that_torch_counts():
    study = laptop(width=2)
    paper = stitch_settings(augmentation=study.stitches.task.augmentation)  # its steps multiply no matrices
    stitches = study.stitches.model_copy(update={"task": paper})
    plan = planned(study.model_copy(update={"stitches": stitches}), FEW)
    cells = PairCells("task", "R1111_trained_s0", "R1112_trained_s0", [0, 2, 4], [1, 5])
    prepared = prepare_pair(plan, cells, noise(FEW), "cpu", time.process_time)
    train, evaluate = pair_runs(plan, cells, noise(FEW), "cpu", prepared)
    for run, images in ((train, 8), (evaluate, 12)):
        with FlopCounterMode(display=False) as counter:
            told = run(images)
        assert told == counter.get_total_flops()
    with FlopCounterMode(display=False) as counter:
        told = network_run(plan, "R1111", noise(FEW), "cpu")(24)
    assert told == pytest.approx(counter.get_total_flops(), rel=0.1)  # the stem's input needs no gradient


class Clock:
    """Time that passes as work says."""

    def __init__(self, *disturbed: float) -> None:
        self.now, self.taken, self.disturbed = 0.0, [], iter(disturbed)

    def __call__(self) -> float:
        self.now += 1e-4  # of a product
        return self.now

    def run(self, images: int) -> int:
        self.taken.append(images)
        self.now += (0.3 + 0.02 * images) * next(self.disturbed, 1)
        return 100 * images


def test_seconds_an_operation_of_work_that_takes_a_known_time():
    clock = Clock()
    watch = Stopwatch(clock)
    assert watch.seconds_per_flop(clock.run, 10_000) == pytest.approx(0.02 / 100, rel=1e-3)
    assert clock.taken == [2, 2, 2, 2, 8, 16, 32]
    assert watch.seconds_per_flop(clock.run, 9) == pytest.approx((0.3 + 0.02 * 9) / 900, rel=1e-3)
    assert watch.slowed() == pytest.approx(1, abs=1e-3)


def test_the_fastest_of_equal_runs_counts_and_how_slow_the_others_were_is_told():
    clock = Clock(1, 1, 1, 1, 1, 1.5, 1)  # four times 2 images, then 8; 9, which are all, twice
    watch = Stopwatch(clock)
    assert watch.seconds_per_flop(clock.run, 9) == pytest.approx((0.3 + 0.02 * 9) / 900, rel=1e-3)
    assert clock.taken == [2, 2, 2, 2, 8, 9, 9]
    assert watch.slowed() == pytest.approx(1.25, rel=1e-2)


def test_steps_that_are_slow_until_they_are_recorded_count_as_recorded_ones():
    clock = Clock(*[10] * FIRST_STEPS)
    assert Stopwatch(clock).seconds_per_flop(clock.run, 10_000) == pytest.approx(0.02 / 100, rel=1e-3)
    slow = [10] * FIRST_STEPS
    clock = Clock(*slow, 1, 1, *slow, 1, 1, *slow, 1, 1, *slow)
    assert Stopwatch(clock, records=True).seconds_per_flop(clock.run, 10_000) == pytest.approx(0.02 / 100, rel=1e-3)


def test_a_core_that_was_never_undisturbed_in_a_run_is_seen_by_short_products():
    clock, ticks = Clock(), itertools.cycle([1e-4, 2e-4, 2e-4])

    def disturbed() -> float:
        clock.now += next(ticks)
        return clock.now

    watch = Stopwatch(disturbed)
    watch.seconds_per_flop(clock.run, 9)
    assert watch.slowed() == pytest.approx(2)


def test_threads_that_have_no_core_cost_none_of_the_time_that_is_counted():
    """Of a process whose two threads share a core with another one; awake, they would wait for each other busily."""
    script = """
import json, os, sys, time
import torch
from modelstitch.planning.speed import clock_of
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))] if sys.argv[1] == "crowded" else os.sched_getaffinity(0))
torch.set_num_threads(2)
clock, layer, images = clock_of("cpu"), torch.nn.Conv2d(32, 32, 3), torch.randn(16, 32, 32, 32)
layer(images)
times = []
for _ in range(15):
    start = clock()
    layer(images)
    times.append(clock() - start)
print(sorted(times)[len(times) // 2])
"""
    surroundings = os.environ | ASLEEP | {"OMP_NUM_THREADS": "2"}
    alone, crowded = (
        float(
            subprocess.run(
                [sys.executable, "-c", script, where], env=surroundings, capture_output=True, check=True
            ).stdout
        )
        for where in ("alone", "crowded")
    )
    assert crowded < 1.5 * alone


def test_measuring_ends_in_time_with_one_pair_at_least():
    assert len(list(until(0, 0, ["R1111", "R1112", "R1122"]))) == 1
    assert sorted(until(60, 60, ["R1111", "R1112", "R1122"])) == ["R1111", "R1112", "R1122"]
    assert len(list(until(0, 60, ["task A A", "task A B", "task B A", "task B B"]))) == 2  # A and B in both places


def test_processes_begin_with_other_keys():
    keys = [f"task {sender} {receiver}" for sender in "ABC" for receiver in "ABC"]
    first, second = (list(until(60, 60, keys, place, 2)) for place in (0, 1))
    assert first[:5] == list(in_order(keys))[::2] and second[:4] == list(in_order(keys))[1::2]
    assert sorted(first) == sorted(second) == keys
    assert list(until(60, 60, keys[:1], 1, 2)) == keys[:1]


def test_repeated_stitches_are_planned_for_in_a_job_that_reads_the_study_again():
    study = with_task(study_of("cifar10-laptop"), repeats=3)
    again = Study.model_validate(study.model_dump(mode="json"))
    assert again == study and again.objectives() == ["task", "task-2", "task-3", "remapped"]
    pairs = len(study.ordered_pairs())
    assert len(list(cells_of(planned(again)))) == 3 * pairs + len(study.ordered_pairs("remapped"))


def test_processes_measure_together():
    plan = planned(laptop(width=2, architectures=("R1112",)), FEW)
    speed = measure_together(plan, start=1.0, device="cpu", processes=2)
    assert speed.networks.keys() == {"R1112"}
    for measured in (speed.preparation, speed.training, speed.evaluation):
        assert measured.keys() == {"task R1112 R1112"}
    assert 1e-3 < speed.preparation["task R1112 R1112"] < 100
    rates = [*speed.networks.values(), *speed.training.values(), *speed.evaluation.values()]
    assert min(rates) > 1e-13 and max(rates) < 1e-5
    assert 0 < speed.share <= 1.1 and speed.slowed >= 1


def test_every_protocol_and_objective_is_measured():
    study = study_of("paper-laptop", networks={"width": 2, "architectures": ["R1111"]})
    for protocol in ("config", "paper"):
        stitches = study.stitches.model_copy(update={"task": study_of(protocol).stitches.task})
        plan = planned(study.model_copy(update={"stitches": stitches}), FEW._replace(train_images=300))
        speed = measure_together(plan, start=1.0, device="cpu", processes=1)
        assert {key.split()[0] for key in speed.training} == {"task", "similarity"}
        assert min([*speed.training.values(), *speed.evaluation.values()]) > 1e-13


def test_a_process_that_fails_is_told_in_one_line():
    with pytest.raises(ModelstitchError, match=r"measurement failed: .*nowhere[^\n]*$"):
        measure_together(planned(laptop(width=2), FEW), start=1.0, device="nowhere", processes=1)


def test_the_table_has_thousands_and_a_total():
    found = [Stage("networks", [Job("stitch_pair", 7200, flops=10**12, bytes=10**6, memory=1000)], threads=2)]
    found += [Stage("stitches", [Job("stitch_pair", 3600, flops=2 * 10**12, cells=25, bytes=10**6, memory=2000)] * 100)]
    lines = [line.split() for line in table(found, at_once=50, share=0.5, slowed=1).splitlines()]
    assert lines[2] == ["networks", "1", "1,000", "1", "1,000", "120", "min", "240", "min", "240", "min"]
    assert lines[3] == ["stitches", "100", "2,500", "200,000", "100", "2,000", "60", "min", "100", "h", "240", "min"]
    assert lines[4] == ["all", "101", "2,500", "201,000", "101", "2,000", "120", "min", "104", "h", "480", "min"]
    told = "104.0 core-hours in all; 50 at once on an idle machine: 240 min."
    assert table(found, at_once=50, share=0.5, slowed=1.1).endswith(told)


def test_of_a_machine_that_is_too_busy_to_tell_both_bounds_are_told():
    found = [Stage("stitches", [Job("stitch_pair", 3600, cells=25)] * 100)]
    told = table(found, at_once=50, share=0.5, slowed=3)
    assert told.endswith("100.0 to 300.0 core-hours in all; 50 at once on an idle machine: 120 min to 360 min.")
    assert told.splitlines()[2].split()[-2:] == ["12", "h"]


@pytest.mark.parametrize(("seconds", "text"), [(95, "95 s"), (720, "12 min"), (1031 * 3600, "1,031 h")])
def test_durations_have_two_digits_or_more(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize("known", [True, False])
def test_sizes_are_those_of_the_data_set_where_it_is_there_and_else_told_as_assumed(known):
    values = laptop(width=2, architectures=("R1111",)).model_dump(mode="json")
    study = Study.model_validate(values | {"dataset": {"source": "imagefolder", "path": "images"}})
    plan = planned(study, Sizes((1, 32, 32), 203, 101, 10))
    text, _ = forecast(plan, known, at_once=2, **RULES, processes=1)
    assert ("assumed are 203 to train and 101 to test, 1 x 32 x 32" in text) is not known
    assert ("assumed" in text) is not known
    flops = sum(operations.network(plan, f"R1111_{recipe}_s0") for recipe in ("trained", "random"))
    networks = next(line.split() for line in text.splitlines() if line.startswith("networks"))
    assert networks[:3] == ["networks", "4", f"{flops / 1e9:,.0f}"]


def test_every_family_of_a_pair_costs_its_training_by_what_it_multiplies():
    names = [{"sender": "R1111_trained_s0", "receiver": "R1111_trained_s0"}]
    families = [{"name": "linear"}, {"name": "mlp", "hidden": 1000}]
    numbers = {"epochs": 1.0, "learning_rate": 0.001, "weight_decay": 0.0, "statistics_images": 500, "start": "random"}
    plan = planned(study_of("paper-laptop", measures={"capacity": {"pairs": names, "families": families} | numbers}))
    # Each for the task, then on remapped labels.
    linear, again, wide, _ = stages(plan, SPEED, **RULES)[3].jobs[-4:]
    assert again._replace(name=linear.name) == linear
    work = plan.work(*SELF)
    seen = plan.study.stitches.task.batch * (50_000 // plan.study.stitches.task.batch)
    assert linear.flops == seen * work.passes_operations(2) + 10_000 * work.passes_operations(1)
    assert wide.flops > linear.flops and wide.memory > linear.memory


def test_what_is_measured_costs_its_jobs():
    names = [
        {"sender": "R1111_trained_s0", "receiver": receiver} for receiver in ("R1111_trained_s0", "R1112_trained_s0")
    ]
    measures = {
        "training_budget": {"epochs": [0.25, 4.0], "pairs": names},
        "stitch_spectra": {"images": 200},
        "statistical_similarity": {"images": 1000, "permutations": 100, "neighbours": 10},
    }
    plan = planned(study_of("paper-laptop", measures=measures))
    measuring = stages(plan, SPEED, **RULES)[3]
    # Distances of 16 pairs; hacking, stitches into the input and their images of 32; probes of 4 networks; similarities
    # of 16 pairs, spectra of as many; budgets of 2 x 2 x 2, twice.
    rules = {rule.name: len(rule.jobs) for rule in measuring.of_rules()}
    assert rules == {
        "measure_distances": 16,
        "measure_hacking": 32,
        "stitch_input": 32,
        "measure_generated_images": 32,
        "measure_stitch_spectra": 16,
        "probe_network": 4,
        "measure_statistical_similarity": 16,
        "stitch_training_budget": 2 * 8,
    }
    lines = [line.split() for line in table(stages(plan, SPEED, **RULES), 2, 1, 1).splitlines()]
    found = {line[0]: line[1] for line in lines if line}
    assert found["measure_hacking"] == "32" and found["measures"] == str(sum(rules.values()))
    training, evaluation = operations.training(plan, "task", *SELF), operations.evaluation(plan, *SELF)
    lengths = [training + evaluation] * 2 + [16 * training + evaluation] * 2
    assert [job.flops for job in measuring.jobs[-16:-8]] == 2 * lengths


def test_noise_truncated_senders_and_controls_are_planned_for():
    """The control from the image has one sender layer; noise goes into each receiver, at each rank a pair once."""
    noise = {"sigmas": [0.1, 1], "train_images": 60, "test_images": 10, "epochs": 4, "batch": 32, "learning_rate": 0.1}
    pair = {"sender": "R1111_trained_s0", "receiver": "R1111_trained_s0"}
    measures = {"clustered_noise": noise, "rank_sensitivity": {"images": 100, "pairs": [pair]}}
    study = study_of("cifar10-laptop", networks={"architectures": ["R1111"], "width": 4}, measures=measures)
    study = study.model_copy(
        update={
            "stitches": study.stitches.model_copy(
                update={"remapped": None, "image": Control(pairs=None), "deranged": Control(pairs=None)}
            )
        }
    )
    plan = planned(study)
    rows = {cells.objective: cells.sender_layers for cells in cells_of(plan)}
    assert rows == {"task": list(range(5)), "deranged": list(range(5)), "image": [-1]}
    measuring = stages(plan, SPEED, **RULES)[3]
    receivers = {pair.receiver for pair in study.ordered_pairs()}
    *_, noisy, ranked = measuring.jobs[-len(receivers) - 1 :]
    suffixes = sum(plan.description("R1111_trained_s0").suffix_operations(j) for j in range(5))
    assert noisy.flops == 2 * 2 * suffixes * 10 * (2 * 4 * 60 + 10)
    assert noisy.memory > requests.network_mb(plan, "R1111_trained_s0")
    assert ranked.memory > requests.pair_mb(plan, "task", *SELF)
