"""The jobs of a study, as if nothing were made yet: what each takes at the rates that `speed` measured."""

import csv
import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from modelstitch.analysis.depth import corresponding
from modelstitch.config.families import label
from modelstitch.config.measures import NamedPair
from modelstitch.config.stitches import REMAPPED, STARTS, is_measured, section_of
from modelstitch.files import replacing
from modelstitch.fitting.objectives import objective_of
from modelstitch.identifiers import NetworkId
from modelstitch.planning import disk, operations, requests
from modelstitch.planning.speed import PairCells, Speed, cells_of, key_of, rate
from modelstitch.planning.study import PlannedStudy

# Not measured anew, seconds of one AVX512 core: reading an image from its archive; for a network, reading the images,
# counting operations (with torch's counter imported by a fork server, else a second more) and writing it; for a pair,
# reading networks and images, freezing, and writing the record; a network's JSON from its header; gathering a small
# study's numbers; the first figure of a job, and each file of one.
IMAGE_SECONDS, MAKING_SECONDS, STITCHING_SECONDS, DESCRIBING_SECONDS = 2e-4, 0.5, 0.8, 0.15
TABLE_SECONDS, DRAWING_SECONDS, FIGURE_SECONDS = 0.2, 0.5, 0.2
# Of measures:
READING_SECONDS = 1.5  # a pair of networks and its stitches
HACKING_SECONDS = 0.3 / 1000**2  # two images in a cell
SIMILARITY_SECONDS = 5e-3 / 1000**2  # two images in a cell and an order of the images
PROBE_SECONDS, FEATURE_SECONDS = 1.1e-4, 2e-7  # an image in a layer's probe, and each of its features
NOISE_SECONDS = 1.5e-8  # a number of noise
METRIC_SECONDS = 6e-4  # both metrics of a generated image
MAKING = {"trained": "train_network", "pretrained": "import_network"}  # of a recipe; others are initialised


class Job(NamedTuple):
    """A job.

    Attributes:
        name: its rule and what it is for, as its file is called among a study's benchmarks.
        seconds: seconds its cores work.
        flops, cells: its operations and cells.
        bytes: bytes it leaves on the disk.
        memory: MB of memory it asks for.
    """

    name: str
    seconds: float
    flops: int = 0
    cells: int = 0
    bytes: int = 0
    memory: int = 0

    @property
    def rule(self) -> str:
        return self.name.partition("/")[0]


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
        return max([*seconds, sum(seconds) / at_once])

    def of_rules(self) -> "list[Stage]":
        """The jobs of each rule."""
        rules = dict.fromkeys(job.rule for job in self.jobs)
        return [self._replace(name=rule, jobs=[job for job in self.jobs if job.rule == rule]) for rule in rules]


def stages(plan: PlannedStudy, speed: Speed, dataset_rules: Iterable[str], drawn: Mapping[str, int]) -> list[Stage]:
    """All jobs of the study.

    Args:
        plan: the study.
        speed: of the machine.
        dataset_rules: the rules that make the data set, of one job each.
        drawn: for each job that makes tables or figures, how many files of figures it draws.
    """
    study, start = plan.study, speed.start
    images = plan.sizes.train_images + plan.sizes.test_images
    dataset = {"bytes": disk.dataset(plan), "memory": requests.dataset_mb(plan)}
    networks = [network_job(plan, speed, network) for network in study.networks_needed()]
    described = [Job(f"describe_network/{network}", DESCRIBING_SECONDS) for network in study.networks_needed()]
    stitched = [job for cells in cells_of(plan) for job in pair_jobs(plan, speed, cells)]
    gathered = disk.tables(plan, len(study.stitched_pairs()), sum(job.cells for job in stitched))
    tables = [
        Job(name, start + (DRAWING_SECONDS + FIGURE_SECONDS * files if files else TABLE_SECONDS), memory=4000)
        for name, files in drawn.items()
    ]
    tables[0] = tables[0]._replace(bytes=gathered)
    measuring = list(measure_jobs(plan, speed))
    return [
        Stage(
            "data set",
            [
                Job(rule, start + IMAGE_SECONDS * images, **dataset) if rule == "prepare_dataset" else Job(rule, start)
                for rule in dataset_rules
            ],
        ),
        Stage("networks", [*networks, *described], study.jobs.threads),
        Stage("stitches", stitched, study.jobs.threads),
        *([Stage("measures", measuring, study.jobs.threads)] if measuring else []),
        Stage("tables and figures", tables),
    ]


def network_job(plan: PlannedStudy, speed: Speed, network: NetworkId) -> Job:
    """Making one network."""
    name = f"{MAKING.get(network.recipe, 'initialise_network')}/{network}"
    flops = operations.network(plan, network)
    seconds = speed.start + MAKING_SECONDS + flops * rate(speed.networks, plan.representatives[network.architecture])
    return Job(name, seconds, flops, bytes=disk.network(plan, network), memory=requests.network_mb(plan, network))


def pair_jobs(plan: PlannedStudy, speed: Speed, cells: PairCells) -> list[Job]:
    """Training and evaluating a pair's cells: one job; or one per block of receiver layers, and one that joins them."""
    objective, sender, receiver, rows, columns = cells
    family, cut = plan.settings[objective].family, plan.study.jobs.layers_per_job
    place, size = f"{objective}/{sender}/{receiver}", cut or len(columns)
    # The control from the image has one row; its kind is measured with all of a pair's.
    share = len(rows) / len(plan.sender_layers(section_of(objective), sender))
    jobs = []
    for first in range(0, len(columns), size):
        block = columns[first : first + size]
        name = f"stitch_layers/{place}/{block[0]}-{block[-1]}" if cut else f"stitch_pair/{place}"
        training = operations.training(plan, objective, sender, receiver, rows, block)
        evaluation = operations.evaluation(plan, sender, receiver, rows, block, family)
        seconds = _stitching(speed, key_of(plan, cells), training, evaluation, share * len(block) / len(columns))
        memory = requests.pair_mb(plan, objective, sender, receiver, rows, block)
        count = len(rows) * len(block)
        jobs.append(Job(name, speed.start + seconds, training + evaluation, count, memory=memory))
    if cut:
        memory = requests.joining_mb(plan, sender, receiver, family)
        jobs.append(Job(f"join_layers/{place}", speed.start, memory=memory))
    kept = disk.record(plan, rows, columns)
    if any(settings.keep_stitches for settings in plan.settings.values()):
        kept += disk.stitches(plan, sender, receiver, rows, columns, family)
    return [*jobs[:-1], jobs[-1]._replace(bytes=kept)]


def measure_jobs(plan: PlannedStudy, speed: Speed) -> Iterator[Job]:
    """The jobs of the measures beside accuracy; those that gather numbers or draw them count as tables and figures."""
    for jobs_of in (
        distance_jobs,
        hacking_jobs,
        image_jobs,
        spectra_jobs,
        probe_jobs,
        noise_jobs,
        rank_jobs,
        similarity_jobs,
        budget_jobs,
        capacity_jobs,
    ):
        yield from jobs_of(plan, speed)


def distance_jobs(plan: PlannedStudy, speed: Speed) -> Iterator[Job]:
    """Distances of stitched representations, where a pair is stitched for both the task and similarity."""
    task = {cells[1:3] for cells in cells_of(plan) if cells.objective == "task"}
    for cells in cells_of(plan):
        objective, sender, receiver, rows, columns = cells
        if objective == "similarity" and (sender, receiver) in task:
            work = plan.work(sender, receiver, rows, columns, plan.settings[objective].family)
            both = work.sender.total_operations + work.receiver.total_operations
            flops = plan.sizes.test_images * (both + work.stitch_operations)
            seconds = speed.start + READING_SECONDS + flops * rate(speed.evaluation, key_of(plan, cells))
            memory = requests.pair_mb(plan, *cells)
            yield Job(f"measure_distances/{sender}/{receiver}", seconds, flops, memory=memory)


def hacking_jobs(plan: PlannedStudy, speed: Speed) -> Iterator[Job]:
    """Measures of hacking, `measures.hacking`."""
    for cells in _measured_cells(plan) if plan.study.measures.hacking else ():
        objective, sender, receiver, rows, columns = cells
        images = min(plan.study.measures.hacking.images, plan.sizes.test_images)
        flops = 3 * images * _evaluation(plan, cells) // plan.sizes.test_images
        seconds = READING_SECONDS + flops * rate(speed.evaluation, key_of(plan, cells))
        seconds += HACKING_SECONDS * images**2 * len(rows) * len(columns)
        memory = requests.pair_mb(plan, *cells)
        name = f"measure_hacking/{objective}/{sender}/{receiver}"
        yield Job(name, speed.start + seconds, flops, memory=memory)


def image_jobs(plan: PlannedStudy, speed: Speed) -> Iterator[Job]:
    """Stitches into the receiver's input, and the images that they generate: `measures.generated_images`."""
    measure = plan.study.measures.generated_images
    for cells in _measured_cells(plan) if measure else ():
        objective, sender, receiver, rows, _ = cells
        place, memory = f"{objective}/{sender}/{receiver}", requests.pair_mb(plan, *cells)
        into_input = cells._replace(receiver_layers=[-1])
        training, evaluation = operations.training(plan, *into_input), _evaluation(plan, into_input)
        key = key_of(plan, cells)
        seconds = _stitching(speed, key, training, evaluation, part=0.5)  # moments of all inputs, for one column
        yield Job(f"stitch_input/{place}", speed.start + seconds, training + evaluation, len(rows), memory=memory)
        images = min(measure.images, plan.sizes.test_images)
        seconds = READING_SECONDS + METRIC_SECONDS * images * len(rows) + 2 * evaluation * rate(speed.evaluation, key)
        yield Job(f"measure_generated_images/{place}", speed.start + seconds, 2 * evaluation, memory=memory)


def spectra_jobs(plan: PlannedStudy, speed: Speed) -> Iterator[Job]:
    """Spectra of stitches, once for the objectives of a pair: `measures.stitch_spectra`."""
    measure = plan.study.measures.stitch_spectra
    found = [cells for cells in cells_of(plan) if is_measured(cells.objective) or cells.objective == REMAPPED]
    for cells in {cells[1:3]: cells for cells in reversed(found)}.values() if measure else ():
        _, sender, receiver, _, _ = cells
        images = min(measure.images, plan.sizes.test_images)
        gradients = images * plan.sizes.classes * plan.description(receiver).total_operations
        flops = gradients + images * _evaluation(plan, cells) // plan.sizes.test_images
        seconds = speed.start + READING_SECONDS + flops * rate(speed.evaluation, key_of(plan, cells))
        memory = requests.spectra_mb(plan, *cells[:3])
        yield Job(f"measure_stitch_spectra/{sender}/{receiver}", seconds, flops, memory=memory)


def probe_jobs(plan: PlannedStudy, speed: Speed) -> Iterator[Job]:
    """Linear probes of each sender, `measures.probes`."""
    senders = dict.fromkeys(pair.sender for pair in plan.study.ordered_pairs())
    for sender in senders if plan.study.measures.probes else ():
        images = min(plan.study.measures.probes.images, plan.sizes.train_images)
        features = _features(plan, sender).values()
        seconds = speed.start + images * (PROBE_SECONDS * len(features) + FEATURE_SECONDS * sum(features))
        yield Job(f"probe_network/{sender}", seconds, memory=requests.network_mb(plan, sender))


def noise_jobs(plan: PlannedStudy, speed: Speed) -> Iterator[Job]:
    """Clustered noise in each receiver, `measures.clustered_noise`."""
    noise = plan.study.measures.clustered_noise
    receivers = dict.fromkeys(pair.receiver for pair in plan.study.ordered_pairs())
    for receiver in receivers if noise else ():
        layers = range(plan.layers(receiver))
        cells = len(noise.sigmas) * sum(map(plan.description(receiver).suffix_operations, layers))
        # A forward and a backward pass of each training image, for two objectives.
        flops = round(2 * cells * plan.sizes.classes * (2 * noise.epochs * noise.train_images + noise.test_images))
        numbers = len(noise.sigmas) * sum(plan.description(receiver).shapes[j].size for j in layers)
        numbers *= 2 * plan.sizes.classes * (noise.epochs * noise.train_images + noise.test_images)
        key = key_of(plan, PairCells("task", str(receiver), str(receiver), layers, layers))
        seconds = speed.start + flops * rate(speed.training, key) + NOISE_SECONDS * numbers
        memory = requests.noise_mb(plan, receiver)
        yield Job(f"measure_clustered_noise/{receiver}", seconds, flops, memory=memory)


def rank_jobs(plan: PlannedStudy, speed: Speed) -> Iterator[Job]:
    """Stitches from truncated senders, `measures.rank_sensitivity`."""
    for pair in plan.study.measures.rank_sensitivity.pairs if plan.study.measures.rank_sensitivity else ():
        cells = _task_cells(plan, pair)
        counts, flops, probing = (plan.layers(pair.sender), plan.layers(pair.receiver)), 0, 0.0
        settings = plan.settings["task"]
        passes = 2 * objective_of("task").images_seen(settings, plan.sizes.train_images) + plan.sizes.test_images
        for layer, inputs in _features(plan, pair.sender).items():
            work = plan.work(pair.sender, pair.receiver, [layer], [corresponding(layer, *counts)], settings.family)
            ranks = plan.description(pair.sender).shapes[layer].channels.bit_length()
            flops += ranks * passes * (work.passes_operations(passes=1) - work.passes_operations(passes=0))
            probing += ranks * (PROBE_SECONDS + FEATURE_SECONDS * inputs)
        seconds = speed.start + _stitching(speed, key_of(plan, cells), flops, 0)
        images = min(plan.study.measures.rank_sensitivity.images, plan.sizes.train_images)
        seconds += images * probing
        memory = requests.rank_mb(plan, pair.sender, pair.receiver)
        yield Job(f"measure_rank_sensitivity/{pair.sender}/{pair.receiver}", seconds, flops, memory=memory)


def similarity_jobs(plan: PlannedStudy, speed: Speed) -> Iterator[Job]:
    """Indices of representational similarity and their permutations, `measures.statistical_similarity`."""
    similarity = plan.study.measures.statistical_similarity
    for sender, receiver in plan.study.ordered_pairs() if similarity else ():
        images = min(similarity.images, plan.sizes.test_images)
        count = plan.layers(sender) * plan.layers(receiver) * (similarity.permutations + 1)
        seconds = speed.start + SIMILARITY_SECONDS * images**2 * count
        memory = requests.similarity_mb(plan, sender, receiver)
        yield Job(f"measure_statistical_similarity/{sender}/{receiver}", seconds, memory=memory)


def budget_jobs(plan: PlannedStudy, speed: Speed) -> Iterator[Job]:
    """Trainings of several lengths, from two starts: `measures.training_budget`."""
    measure = plan.study.measures.training_budget
    remapped = {tuple(map(str, pair)) for objective, pair in plan.study.stitched_pairs() if objective == REMAPPED}
    for pair in measure.pairs if measure else ():
        cells = _task_cells(plan, pair)
        training, evaluation = operations.training(plan, *cells), _evaluation(plan, cells)
        memory = requests.pair_mb(plan, *cells)
        objectives = ["task", *([REMAPPED] if (pair.sender, pair.receiver) in remapped else [])]
        for objective, epochs in itertools.product(objectives, measure.epochs):
            flops = round(training * epochs / plan.study.stitches.task.epochs)
            seconds = _stitching(speed, key_of(plan, cells), flops, evaluation)
            for begin in STARTS:
                place = f"{str(epochs).removesuffix('.0')}/{begin}/{pair.sender}/{pair.receiver}"
                name = f"stitch_training_budget/{objective}/{place}"
                yield Job(name, speed.start + seconds, flops + evaluation, memory=memory)


def capacity_jobs(plan: PlannedStudy, speed: Speed) -> Iterator[Job]:
    """Stitches of every family, at the speed of the study's stitches for the task: `measures.capacity`."""
    measure = plan.study.measures.capacity
    objectives = [name for name in ("task", REMAPPED) if name in plan.study.objectives()]
    for pair, family in itertools.product(measure.pairs, measure.families) if measure else ():
        with_family = plan.with_task(measure.training(plan.study.stitches.task, family))
        cells = _task_cells(plan, pair)
        training, evaluation = operations.training(with_family, *cells), _evaluation(with_family, cells)
        seconds = _stitching(speed, key_of(plan, cells), training, evaluation)
        memory = requests.pair_mb(with_family, *cells)
        for objective in objectives:
            name = f"stitch_capacity/{objective}/{label(family)}/{pair.sender}/{pair.receiver}"
            yield Job(name, speed.start + seconds, training + evaluation, memory=memory)


def write_jobs(stages: Iterable[Stage], path: Path | str) -> None:
    """Write a table with a row for each job.

    Raises:
        ModelstitchError: if the file can't be written.
    """
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("stage", "job", "threads", "seconds", "operations", "cells", "bytes", "memory_mb"))
        for stage in stages:
            for job in stage.jobs:
                name, seconds, *counts = job
                writer.writerow((stage.name, name, stage.threads, f"{seconds:.3g}", *counts))


def _measured_cells(plan: PlannedStudy) -> Iterator[PairCells]:
    """The cells of each pair and objective that have measures of their own."""
    return (cells for cells in cells_of(plan) if is_measured(cells.objective))


def _task_cells(plan: PlannedStudy, pair: NamedPair) -> PairCells:
    """The cells of a pair that a measure names, for the task."""
    layers = plan.sender_layers("task", pair.sender), plan.receiver_layers("task", pair.receiver)
    return PairCells("task", pair.sender, pair.receiver, *layers)


def _stitching(speed: Speed, key: str, training: int, evaluation: int, part: float = 1.0) -> float:
    """Seconds of operations that train and evaluate a part of the cells of a key, and of what is around them."""
    seconds = STITCHING_SECONDS + part * rate(speed.preparation, key)
    return seconds + training * rate(speed.training, key) + evaluation * rate(speed.evaluation, key)


def _features(plan: PlannedStudy, network: str | NetworkId) -> dict[int, int]:
    """How many features a linear probe of each layer sees: inputs of a stitch from it to the last layer."""
    layers = range(plan.layers(network))
    stitches = plan.work(network, network, layers, [layers[-1]]).geometries
    return {layer: geometry.parts[0].inputs for (layer, _), geometry in stitches.items()}


def _evaluation(plan: PlannedStudy, cells: PairCells) -> int:
    """Operations of evaluating cells, with stitches of their objective's family."""
    return operations.evaluation(plan, *cells[1:], plan.settings[cells.objective].family)
