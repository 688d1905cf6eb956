"""What a study will take, as a table: its jobs (`jobs`), and times measured on this machine (`speed`)."""

import os
import time
from collections.abc import Mapping, Sequence

import torch

from modelstitch.hardware import choose_device
from modelstitch.planning.jobs import Job, Stage, stages
from modelstitch.planning.speed import measure_together
from modelstitch.planning.study import PlannedStudy
from modelstitch.progress import say

# If equal work took so many times as long as the fastest, a forecast gives bounds; idle machines vary by a few percent.
SURE = 1.15
HEADINGS = (
    ("", "jobs", "cells", "operations", "on disk", "memory", "longest", "core", "time with"),
    ("stage", "", "", "10^9", "MB", "MB per job", "job", "time", "{} at once"),
)


def forecast(
    plan: PlannedStudy,
    known: bool,
    at_once: int,
    dataset_rules: Sequence[str],
    drawn: Mapping[str, int],
    processes: int,
) -> tuple[str, list[Stage]]:
    """Measure the speed of this machine, and return what the whole study takes, as a table and its jobs.

    Args:
        plan: the study.
        known: whether the data set's sizes are known, or assumed.
        at_once: jobs that will run at the same time.
        dataset_rules: the rules that make the data set.
        drawn: for each job that makes tables or figures, how many files of figures it draws.
        processes: how many processes measure at the same time, each with the threads of a job.

    Raises:
        ModelstitchError: if a process of the measurement fails.
    """
    start = time.process_time()  # this process began as a job does: a fork, or with the imports
    study = plan.study
    device = "cpu" if study.jobs.device == "cuda" and not torch.cuda.is_available() else study.jobs.device
    processes = max(1, min(processes, (os.cpu_count() or 1) // study.jobs.threads))
    say(f"measuring how fast this machine is, for a minute or two, {processes} at once")
    load, begun = os.getloadavg()[0], time.monotonic()
    speed = measure_together(plan, start, choose_device(device), processes)
    notes = [
        "An estimate, as if nothing were made yet; a download is not counted.",
        f"Times are by a measurement on this machine, {time.monotonic() - begun:.0f} s on random weights and images, "
        f"{processes} at once of {count(study.jobs.threads, 'thread')}.",
        f"They got {speed.share:.0%} of their cores' time (load {load:.1f} before), in which they were "
        f"{speed.slowed:.2f} times as slow as at best; the last column expects the same for the study.",
    ]
    if speed.slowed > SURE:
        notes.append("The machine is too busy to tell more exactly: measure again when less runs on it.")
    if not known and study.dataset.source == "imagefolder":
        image = " x ".join(map(str, plan.sizes.image))
        notes.append(
            f"The images are not read yet: assumed are {plan.sizes.train_images:,} to train and "
            f"{plan.sizes.test_images:,} to test, {image}. For their real number make the data set first."
        )
    if device != study.jobs.device:
        notes.append("jobs.device is cuda, but torch finds no GPU here: the times are those of the processor.")
    found = stages(plan, speed, dataset_rules, drawn)
    return "\n".join([table(found, at_once, speed.share, speed.slowed), "", *notes]), found


def table(found: Sequence[Stage], at_once: int, share: float, slowed: float) -> str:
    """The stages and their total as lines of text; jobs get a `share` of the time of their cores, and are `slowed`.

    The rules of measures have a line each. How fast a machine is when idle can't be told while it is slowed much: both
    bounds are below the table then.
    """
    core, wall = sum(stage.core_seconds for stage in found), sum(stage.wall_seconds(at_once) for stage in found)
    rows = [
        *([cell.format(at_once) for cell in heading] for heading in HEADINGS),
        *(
            _row(name, part.jobs, part.core_seconds, part.wall_seconds(at_once) * slowed / share)
            for stage in found
            for name, part in _lines(stage)
        ),
        _row("all", [job for stage in found for job in stage.jobs], core, wall * slowed / share),
    ]
    name, *columns = zip(*rows, strict=True)
    aligned = [map(str.ljust, name, [max(map(len, name))] * len(rows))]
    aligned += [map(str.rjust, column, [max(map(len, column)) + 2] * len(rows)) for column in columns]
    lines = ["".join(cells) for cells in zip(*aligned, strict=True)]
    hours, idle = f"{core / 3600:,.1f}", duration(wall)
    if slowed > SURE:
        hours, idle = f"{hours} to {core * slowed / 3600:,.1f}", f"{idle} to {duration(wall * slowed)}"
    return "\n".join([*lines, "", f"{hours} core-hours in all; {at_once} at once on an idle machine: {idle}."])


def _lines(stage: Stage) -> list[tuple[str, Stage]]:
    """The lines of a stage and what they are of: the stage, and each rule of measures."""
    rules = stage.of_rules() if stage.name == "measures" else []
    return [(stage.name, stage), *((f"  {rule.name}", rule) for rule in rules)]


def _row(name: str, jobs: Sequence[Job], core: float, wall: float) -> list[str]:
    counts = [
        len(jobs),
        sum(job.cells for job in jobs),
        sum(job.flops for job in jobs) / 1e9,
        sum(job.bytes for job in jobs) / 1e6,
        max(job.memory for job in jobs),
    ]
    times = [max(job.seconds for job in jobs), core, wall]
    return [name, *(f"{number:,.0f}" if number else "" for number in counts), *map(duration, times)]


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """A time in the largest unit that leaves two digits or more: `95 s`, `12 min`, `1,031 h`."""
    if seconds < 600:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 36_000 else f"{seconds / 3600:,.0f} h"
