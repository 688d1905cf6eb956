"""What a study will take: counts from shapes (`costs`), and time by a short measurement on this machine."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from modelstitch.config import Study
from modelstitch.data import datasets
from modelstitch.hardware import choose_device
from modelstitch.identifiers import NetworkId
from modelstitch.networks.architectures import count_layers
from modelstitch.planning.costs import Costs
from modelstitch.planning.speed import Calibration, Cells, calibrate, cells_of, rate
from modelstitch.progress import say

# Not measured anew, seconds of one AVX2 core: reading an image from its archive; a heat map in one format, with its
# share of the figures of all pairs; what scikit-learn does for a cell's hacking measures with 1,000 images, and for a
# layer's probe with 10,000; the two image metrics of a generated image.
IMAGE_SECONDS, FIGURE_SECONDS = 2e-4, 0.15
HACKING_SECONDS, PROBE_SECONDS, METRIC_SECONDS = 0.5 / 1000, 8 / 10_000, 1.5e-3
HEADINGS = (
    ("", "jobs", "cells", "operations", "on disk", "memory", "longest", "core", "time with"),
    ("stage", "", "", "10^9", "MB", "MB a job", "job", "time", "{} at once"),
)


class Job(NamedTuple):
    """Seconds that a job's cores will work, its operations and cells, bytes that it leaves, and MB that it asks for."""

    seconds: float
    flops: int = 0
    cells: int = 0
    bytes: int = 0
    memory: int = 0


class Stage(NamedTuple):
    """Jobs that need not wait for each other, and how many cores each takes."""

    name: str
    jobs: list[Job]
    threads: int = 1

    @property
    def core_seconds(self) -> float:
        return self.threads * sum(job.seconds for job in self.jobs)

    def wall_seconds(self, at_once: int) -> float:
        """With so many jobs at once on an idle machine: as all take when no core waits, or as the longest does."""
        seconds = [job.seconds for job in self.jobs]
        return max(*seconds, sum(seconds) / at_once)


def forecast(
    study: Study, dataset: Path | str, at_once: int, dataset_jobs: int, table_jobs: int, processes: int
) -> str:
    """Measure how fast this machine is, for a minute, and tell what the whole study takes, as a table.

    Args:
        study: the study.
        dataset: its data set's file; its sizes count where it is there already.
        at_once: jobs that will run at the same time.
        dataset_jobs, table_jobs: how many make the data set, and measures, tables and figures.
        processes: measure at once, each with the threads of a job; fewer where the machine has fewer cores.

    Raises:
        ModelstitchError: if a process of the measurement fails.
    """
    sizes = datasets.read_sizes(dataset)
    start = time.process_time()  # this process has imported what a job imports, and read what it reads
    costs = Costs(study, sizes)
    device = "cpu" if study.jobs.device == "cuda" and not torch.cuda.is_available() else study.jobs.device
    processes = max(1, min(processes, (os.cpu_count() or 1) // study.jobs.threads))
    say(f"measuring how fast this machine is, for about a minute, {processes} at once")
    load, begun = os.getloadavg()[0], time.monotonic()
    calibration = calibrate(study, costs.sizes, start, choose_device(device), processes)
    notes = [
        "An estimate, as if nothing were made yet; a download is not counted.",
        f"Times are by a measurement on this machine, {time.monotonic() - begun:.0f} s on random weights and images, "
        f"{processes} at once of {count(study.jobs.threads, 'thread')}.",
        f"They got {calibration.share:.0%} of their cores' time (load {load:.1f} before), and the last column expects "
        "the same for the study.",
    ]
    if sizes is None and study.dataset.source == "imagefolder":
        image = " x ".join(map(str, costs.sizes.image))
        notes.append(
            f"The images are not read yet: assumed are {costs.sizes.train_images:,} to train and "
            f"{costs.sizes.test_images:,} to test, {image}. For their real number make {dataset} first."
        )
    if device != study.jobs.device:
        notes.append("jobs.device is cuda, but torch finds no GPU here: the times are those of the processor.")
    found = stages(costs, calibration, dataset_jobs, table_jobs)
    return "\n".join([table(found, at_once, calibration.share), "", *notes])


def stages(costs: Costs, calibration: Calibration, dataset_jobs: int, table_jobs: int) -> list[Stage]:
    """All jobs of the study, as if nothing were made yet."""
    study, start = costs.study, calibration.start
    images = costs.sizes.train_images + costs.sizes.test_images
    dataset = Job(start + IMAGE_SECONDS * images, bytes=costs.dataset_bytes(), memory=costs.dataset_mb())
    networks = [network_job(costs, calibration, network) for network in study.networks_needed()]
    pairs = [pair_jobs(costs, calibration, cells) for cells in cells_of(study)]
    cells = sum(job.cells for jobs in pairs for job in jobs)
    drawing = Job(
        start + FIGURE_SECONDS * len(pairs) * len(study.figures.formats),
        bytes=costs.tables_bytes(len(pairs), cells),
        memory=4000,
    )
    return [
        Stage("data set", [dataset, *[Job(start)] * (dataset_jobs - 1)]),
        Stage("networks", networks, study.jobs.threads),
        Stage("stitches", [job for jobs in pairs for job in jobs], study.jobs.threads),
        *(
            [Stage("measures", measuring, study.jobs.threads)]
            if (measuring := measure_jobs(costs, calibration))
            else []
        ),
        Stage("tables and figures", [drawing, *[Job(start, memory=4000)] * (table_jobs - 1)]),
    ]


def network_job(costs: Costs, calibration: Calibration, network: NetworkId) -> Job:
    """Making one network."""
    flops = costs.network_flops(str(network))
    seconds = calibration.start + flops * rate(calibration.networks, network.architecture)
    return Job(seconds, flops, bytes=costs.network_bytes(network.architecture), memory=costs.network_mb())


def pair_jobs(costs: Costs, calibration: Calibration, cells: Cells) -> list[Job]:
    """Training and evaluating a pair's cells: one job, or one a block of receiver layers, and one to join them."""
    objective, sender, receiver, rows, columns = cells
    size = costs.study.jobs.layers_per_job or len(columns)
    jobs = []
    for first in range(0, len(columns), size):
        block = (sender, receiver, rows, columns[first : first + size])
        training, evaluation = costs.training_flops(objective, *block), costs.evaluation_flops(*block)
        count = len(rows) * len(columns[first : first + size])
        seconds = (
            rate(calibration.preparation, cells.key) * count / (len(rows) * len(columns))
            + training * rate(calibration.training, cells.key)
            + evaluation * rate(calibration.evaluation, cells.key)
        )
        jobs.append(Job(calibration.start + seconds, training + evaluation, count, memory=costs.pair_mb(sender)))
    if costs.study.jobs.layers_per_job:
        jobs.append(Job(calibration.start, memory=costs.joining_mb()))
    kept = costs.record_bytes(rows, columns)
    if any(settings.keep_stitches for settings in costs.study.stitches.objectives().values()):
        kept += costs.stitches_bytes(sender, receiver, rows, columns)
    return [*jobs[:-1], jobs[-1]._replace(bytes=kept)]


def measure_jobs(costs: Costs, calibration: Calibration) -> list[Job]:
    """What the study measures beside accuracies, a job each; one that only gathers numbers counts as a table."""
    study, measures, start = costs.study, costs.study.measures, calibration.start
    _, train_images, test_images, _ = costs.sizes
    jobs = []
    for cells in cells_of(study):
        objective, sender, receiver, rows, columns = cells
        memory, count = costs.pair_mb(sender), len(rows) * len(columns)
        speed = rate(calibration.evaluation, cells.key)
        if objective == "similarity" and "task" in study.objectives():
            flops = test_images * costs.similarity_flops(sender, receiver, rows, columns, moments=False)
            jobs.append(Job(start + speed * flops, flops, memory=memory))
        if measures.hacking:
            images = min(measures.hacking.images, test_images)
            flops = 3 * images * costs.evaluation_flops(sender, receiver, rows, columns) // test_images
            jobs.append(Job(start + speed * flops + HACKING_SECONDS * images * count, flops, memory=memory))
        if measures.generation:
            into_input = (sender, receiver, rows, [-1])
            training, evaluation = costs.training_flops(objective, *into_input), costs.evaluation_flops(*into_input)
            seconds = training * rate(calibration.training, cells.key) + evaluation * speed
            jobs.append(Job(start + seconds, training + evaluation, len(rows), memory=memory))
            metrics = METRIC_SECONDS * min(measures.generation.images, test_images) * len(rows)
            jobs.append(Job(start + 2 * evaluation * speed + metrics, 2 * evaluation, memory=memory))
    if measures.probes:
        for sender in dict.fromkeys(str(pair.sender) for pair in study.ordered_pairs()):
            layers = count_layers(NetworkId.parse(sender).architecture)
            images = min(measures.probes.images, train_images)
            jobs.append(Job(start + PROBE_SECONDS * images * layers, memory=costs.network_mb()))
    for pair in measures.budget.pairs if measures.budget else ():
        ids = NetworkId.parse(pair.sender), NetworkId.parse(pair.receiver)
        layers = study.sender_layers("task", ids[0]), study.receiver_layers("task", ids[1])
        cells = Cells("task", pair.sender, pair.receiver, *layers)
        training, evaluation = costs.training_flops(*cells), costs.evaluation_flops(*cells[1:])
        for epochs in measures.budget.epochs:
            flops = round(training * epochs / study.stitches.task.epochs)
            seconds = (
                rate(calibration.preparation, cells.key)
                + flops * rate(calibration.training, cells.key)
                + evaluation * rate(calibration.evaluation, cells.key)
            )
            jobs += [Job(start + seconds, flops + evaluation, memory=costs.pair_mb(pair.sender))] * 2  # from two starts
    return jobs


def table(found: Sequence[Stage], at_once: int, share: float) -> str:
    """The stages and their total, as lines of text; jobs get a `share` of their cores."""
    core, wall = sum(stage.core_seconds for stage in found), sum(stage.wall_seconds(at_once) for stage in found)
    rows = [
        *([cell.format(at_once) for cell in heading] for heading in HEADINGS),
        *(_row(stage.name, stage.jobs, stage.core_seconds, stage.wall_seconds(at_once) / share) for stage in found),
        _row("all", [job for stage in found for job in stage.jobs], core, wall / share),
    ]
    name, *columns = zip(*rows, strict=True)
    aligned = [map(str.ljust, name, [max(map(len, name))] * len(rows))]
    aligned += [map(str.rjust, column, [max(map(len, column)) + 2] * len(rows)) for column in columns]
    lines = ["".join(cells) for cells in zip(*aligned, strict=True)]
    return "\n".join(
        [*lines, "", f"{core / 3600:,.1f} core-hours in all; {at_once} at once on an idle machine: {duration(wall)}."]
    )


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
