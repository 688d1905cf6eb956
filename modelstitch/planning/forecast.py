"""What a study will take: counts from shapes (`operations`, `disk`, `requests`), and times measured on this machine."""

import itertools
import os
import statistics
import time
from collections.abc import Sequence
from typing import NamedTuple

import torch

from modelstitch.config.stitches import REMAPPED, is_measured
from modelstitch.hardware import choose_device
from modelstitch.identifiers import NetworkId
from modelstitch.planning import disk, operations, requests
from modelstitch.planning.speed import PairCells, Speed, cells_of, measure_together, rate
from modelstitch.planning.study import PlannedStudy
from modelstitch.progress import say

# Not measured anew, seconds of one AVX2 core: reading an image from its archive; a heat map in one format, with its
# share of the figures of all pairs; what scikit-learn does for a cell's hacking measures with 1,000 images, and for a
# layer's probe with 10,000; the two image metrics of a generated image; a cell's statistical similarity in one order of
# 1,000 images.
IMAGE_SECONDS, FIGURE_SECONDS = 2e-4, 0.15
DESCRIBING_SECONDS = 0.3  # writing a network's JSON from its header
HACKING_SECONDS, PROBE_SECONDS, METRIC_SECONDS = 0.5 / 1000, 8 / 10_000, 1.5e-3
SIMILARITY_SECONDS = 0.01 / 1000
# If equal work took so many times as long as the fastest, a forecast gives bounds; idle machines vary by a few percent.
SURE = 1.15
HEADINGS = (
    ("", "jobs", "cells", "operations", "on disk", "memory", "longest", "core", "time with"),
    ("stage", "", "", "10^9", "MB", "MB per job", "job", "time", "{} at once"),
)


class Job(NamedTuple):
    """A job: seconds its cores work, its operations and cells, bytes it leaves on disk, MB of memory it asks for."""

    seconds: float
    flops: int = 0
    cells: int = 0
    bytes: int = 0
    memory: int = 0


class Stage(NamedTuple):
    """Jobs that can run at the same time, and the number of cores of each."""

    name: str
    jobs: list[Job]
    threads: int = 1

    @property
    def core_seconds(self) -> float:
        return self.threads * sum(job.seconds for job in self.jobs)

    def wall_seconds(self, at_once: int) -> float:
        """Seconds with so many jobs at once on an idle machine: the sum shared evenly, but at least the longest job."""
        seconds = [job.seconds for job in self.jobs]
        return max(*seconds, sum(seconds) / at_once)


def forecast(plan: PlannedStudy, known: bool, at_once: int, dataset_jobs: int, table_jobs: int, processes: int) -> str:
    """Measure the speed of this machine for a minute, and return a table of what the whole study takes.

    Args:
        plan: the study.
        known: whether the data set's sizes are known, or assumed.
        at_once: jobs that will run at the same time.
        dataset_jobs, table_jobs: number of jobs for the data set, and for measures, tables and figures.
        processes: how many processes measure at the same time, each with the threads of a job.

    Raises:
        ModelstitchError: if a process of the measurement fails.
    """
    start = time.process_time()  # this process began as a job does: a fork, or with the imports
    study = plan.study
    device = "cpu" if study.jobs.device == "cuda" and not torch.cuda.is_available() else study.jobs.device
    processes = max(1, min(processes, (os.cpu_count() or 1) // study.jobs.threads))
    say(f"measuring how fast this machine is, for about a minute, {processes} at once")
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
    found = stages(plan, speed, dataset_jobs, table_jobs)
    return "\n".join([table(found, at_once, speed.share, speed.slowed), "", *notes])


def stages(plan: PlannedStudy, speed: Speed, dataset_jobs: int, table_jobs: int) -> list[Stage]:
    """All jobs of the study, as if nothing were made yet."""
    study, start = plan.study, speed.start
    images = plan.sizes.train_images + plan.sizes.test_images
    dataset = Job(start + IMAGE_SECONDS * images, bytes=disk.dataset(plan), memory=requests.dataset_mb(plan))
    networks = [network_job(plan, speed, network) for network in study.networks_needed()]
    described = [Job(DESCRIBING_SECONDS)] * len(networks)
    pairs = [pair_jobs(plan, speed, cells) for cells in cells_of(plan)]
    cells = sum(job.cells for jobs in pairs for job in jobs)
    drawing = Job(
        start + FIGURE_SECONDS * len(pairs) * len(study.figures.formats),
        bytes=disk.tables(plan, len(pairs), cells),
        memory=4000,
    )
    measuring = measure_jobs(plan, speed)
    return [
        Stage("data set", [dataset, *[Job(start)] * (dataset_jobs - 1)]),
        Stage("networks", [*networks, *described], study.jobs.threads),
        Stage("stitches", [job for jobs in pairs for job in jobs], study.jobs.threads),
        *([Stage("measures", measuring, study.jobs.threads)] if measuring else []),
        Stage("tables and figures", [drawing, *[Job(start, memory=4000)] * (table_jobs - 1)]),
    ]


def network_job(plan: PlannedStudy, speed: Speed, network: NetworkId) -> Job:
    """Making one network."""
    flops = operations.network(plan, network)
    seconds = speed.start + flops * rate(speed.networks, network.architecture)
    return Job(seconds, flops, bytes=disk.network(plan, network), memory=requests.network_mb(plan, network))


def pair_jobs(plan: PlannedStudy, speed: Speed, cells: PairCells) -> list[Job]:
    """Training and evaluating a pair's cells: one job; or one per block of receiver layers, and one that joins them."""
    objective, sender, receiver, rows, columns = cells
    family = plan.settings[objective].family
    size = plan.study.jobs.layers_per_job or len(columns)
    jobs = []
    for first in range(0, len(columns), size):
        block = (sender, receiver, rows, columns[first : first + size])
        training = operations.training(plan, objective, *block)
        evaluation = operations.evaluation(plan, *block, family)
        count = len(rows) * len(columns[first : first + size])
        seconds = (
            rate(speed.preparation, cells.key) * count / (len(rows) * len(columns))
            + training * rate(speed.training, cells.key)
            + evaluation * rate(speed.evaluation, cells.key)
        )
        memory = requests.pair_mb(plan, objective, *block)
        jobs.append(Job(speed.start + seconds, training + evaluation, count, memory=memory))
    if plan.study.jobs.layers_per_job:
        jobs.append(Job(speed.start, memory=requests.joining_mb(plan, sender, receiver, family)))
    kept = disk.record(plan, rows, columns)
    if any(settings.keep_stitches for settings in plan.settings.values()):
        kept += disk.stitches(plan, sender, receiver, rows, columns, family)
    return [*jobs[:-1], jobs[-1]._replace(bytes=kept)]


def measure_jobs(plan: PlannedStudy, speed: Speed) -> list[Job]:
    """The jobs of the measures beside accuracy; jobs that only gather numbers count as tables."""
    study, measures, start = plan.study, plan.study.measures, speed.start
    _, train_images, test_images, _ = plan.sizes
    jobs = []
    for cells in cells_of(plan):
        objective, sender, receiver, rows, columns = cells
        if not is_measured(objective):
            continue
        family = plan.settings[objective].family
        memory, count = requests.pair_mb(plan, *cells), len(rows) * len(columns)
        seconds_per_operation = rate(speed.evaluation, cells.key)
        if objective == "similarity" and "task" in study.objectives():
            work = plan.work(sender, receiver, rows, columns, family)
            both = work.sender.total_operations + work.receiver.total_operations
            flops = test_images * (both + work.stitch_operations)
            jobs.append(Job(start + seconds_per_operation * flops, flops, memory=memory))
        if measures.hacking:
            images = min(measures.hacking.images, test_images)
            flops = 3 * images * operations.evaluation(plan, sender, receiver, rows, columns, family) // test_images
            seconds = seconds_per_operation * flops + HACKING_SECONDS * images * count
            jobs.append(Job(start + seconds, flops, memory=memory))
        if measures.generated_images:
            into_input = (sender, receiver, rows, [-1])
            training = operations.training(plan, objective, *into_input)
            evaluation = operations.evaluation(plan, *into_input, family)
            seconds = training * rate(speed.training, cells.key) + evaluation * seconds_per_operation
            jobs.append(Job(start + seconds, training + evaluation, len(rows), memory=memory))
            metrics = METRIC_SECONDS * min(measures.generated_images.images, test_images) * len(rows)
            jobs.append(Job(start + 2 * evaluation * seconds_per_operation + metrics, 2 * evaluation, memory=memory))
    if measures.stitch_spectra:
        for cells in {cells[1:3]: cells for cells in cells_of(plan)}.values():
            images = min(measures.stitch_spectra.images, test_images)
            gradients = images * plan.sizes.classes * plan.description(cells.receiver).total_operations
            flops = gradients + images * operations.evaluation(plan, *cells[1:]) // test_images
            memory = requests.spectra_mb(plan, *cells[:3])
            jobs.append(Job(start + flops * rate(speed.evaluation, cells.key), flops, memory=memory))
    if measures.probes:
        for sender in dict.fromkeys(pair.sender for pair in study.ordered_pairs()):
            images = min(measures.probes.images, train_images)
            seconds = PROBE_SECONDS * images * plan.layers(sender)
            jobs.append(Job(start + seconds, memory=requests.network_mb(plan, sender)))
    if noise := measures.clustered_noise:
        for receiver in dict.fromkeys(pair.receiver for pair in study.ordered_pairs()):
            layers = range(plan.layers(receiver))
            cells = len(noise.sigmas) * sum(map(plan.description(receiver).suffix_operations, layers))
            # A forward and a backward pass of each training image, for two objectives.
            flops = round(2 * cells * plan.sizes.classes * (2 * noise.epochs * noise.train_images + noise.test_images))
            seconds = flops * statistics.fmean(speed.training.values())
            jobs.append(Job(start + seconds, flops, memory=requests.noise_mb(plan, receiver)))
    for pair in measures.rank_sensitivity.pairs if measures.rank_sensitivity else ():
        layers = plan.sender_layers("task", pair.sender), plan.receiver_layers("task", pair.receiver)
        cells = PairCells("task", pair.sender, pair.receiver, *layers)
        # About as many cells as the matrix has: a handful of ranks for each sender layer.
        flops = operations.training(plan, *cells) + operations.evaluation(plan, *cells[1:])
        seconds = flops * rate(speed.training, cells.key)
        jobs.append(Job(start + seconds, flops, memory=requests.rank_mb(plan, pair.sender, pair.receiver)))
    if similarity := measures.statistical_similarity:
        for sender, receiver in study.ordered_pairs():
            images = min(similarity.images, test_images)
            count = plan.layers(sender) * plan.layers(receiver) * (similarity.permutations + 1)
            memory = requests.similarity_mb(plan, sender, receiver)
            jobs.append(Job(start + SIMILARITY_SECONDS * images * count, memory=memory))
    remapped = {tuple(map(str, pair)) for objective, pair in study.stitched_pairs() if objective == REMAPPED}
    for pair in measures.training_budget.pairs if measures.training_budget else ():
        layers = plan.sender_layers("task", pair.sender), plan.receiver_layers("task", pair.receiver)
        cells = PairCells("task", pair.sender, pair.receiver, *layers)
        objectives = 1 + ((pair.sender, pair.receiver) in remapped)
        training = operations.training(plan, *cells)
        evaluation = operations.evaluation(plan, *cells[1:], study.stitches.task.family)
        for epochs in measures.training_budget.epochs:
            flops = round(training * epochs / study.stitches.task.epochs)
            seconds = (
                rate(speed.preparation, cells.key)
                + flops * rate(speed.training, cells.key)
                + evaluation * rate(speed.evaluation, cells.key)
            )
            memory = requests.pair_mb(plan, *cells)
            jobs += [Job(start + seconds, flops + evaluation, memory=memory)] * 2 * objectives  # from two starts
    return [*jobs, *capacity_jobs(plan, speed)]


def capacity_jobs(plan: PlannedStudy, speed: Speed) -> list[Job]:
    """The jobs of `measures.capacity`: stitches of every family, at the speed of the study's stitches for the task."""
    measure, jobs = plan.study.measures.capacity, []
    objectives = [name for name in ("task", REMAPPED) if name in plan.study.objectives()]
    for pair, family in itertools.product(measure.pairs, measure.families) if measure else ():
        with_family = plan.with_task(measure.training(plan.study.stitches.task, family))
        layers = plan.sender_layers("task", pair.sender), plan.receiver_layers("task", pair.receiver)
        cells = PairCells("task", pair.sender, pair.receiver, *layers)
        training = operations.training(with_family, *cells)
        evaluation = operations.evaluation(with_family, *cells[1:], family)
        seconds = training * rate(speed.training, cells.key) + evaluation * rate(speed.evaluation, cells.key)
        memory = requests.pair_mb(with_family, *cells)
        jobs += [Job(speed.start + seconds, training + evaluation, memory=memory)] * len(objectives)
    return jobs


def table(found: Sequence[Stage], at_once: int, share: float, slowed: float) -> str:
    """The stages and their total as lines of text; jobs get a `share` of the time of their cores, and are `slowed`.

    How fast a machine is when idle can't be told while it is slowed much: both bounds are below the table then.
    """
    core, wall = sum(stage.core_seconds for stage in found), sum(stage.wall_seconds(at_once) for stage in found)
    rows = [
        *([cell.format(at_once) for cell in heading] for heading in HEADINGS),
        *(
            _row(stage.name, stage.jobs, stage.core_seconds, stage.wall_seconds(at_once) * slowed / share)
            for stage in found
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
