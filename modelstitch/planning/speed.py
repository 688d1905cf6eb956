"""How fast this machine trains networks and stitches: a measurement of a minute or two, for a forecast.

It runs the study's own steps, with its widths, batches and precisions, on random weights and images. As many processes
measure at the same time as the study has jobs, since they share caches and memory; each of them is
`python -m modelstitch.planning.speed`.

What else runs on the machine counts little. A thread that waits for a core takes none of its own time; the threads of a
process wait for each other asleep; of several equal runs the fastest counts.
"""

import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from modelstitch import hardware
from modelstitch.config.networks import Training
from modelstitch.config.stitches import AdamStitches, FastStitches, LeastSquares, TrainedStitches, section_of
from modelstitch.config.study import Study
from modelstitch.data.datasets import Dataset, Sizes, Split
from modelstitch.data.images import DeviceImages
from modelstitch.engine.evaluation import Tally, predict
from modelstitch.engine.pair import StitchedPair
from modelstitch.errors import ModelstitchError
from modelstitch.fitting import training as stitch_training
from modelstitch.fitting.beginning import new_stitches
from modelstitch.fitting.inputs import FitInputs
from modelstitch.fitting.objectives import objective_of
from modelstitch.fitting.protocols import protocol_of
from modelstitch.identifiers import NetworkId
from modelstitch.networks import making, training
from modelstitch.networks.description import Description
from modelstitch.networks.evaluation import evaluate
from modelstitch.networks.frozen import FrozenNetwork, freeze
from modelstitch.networks.network import Network
from modelstitch.optimisers import Optimiser
from modelstitch.planning.study import PlannedStudy
from modelstitch.repeating import FIRST_STEPS, RepeatedStep
from modelstitch.seeds import seed_of
from modelstitch.stitches.families import geometry_of
from modelstitch.stitches.geometry import geometries

RATE = 1e-6  # of learning: nothing moves far
LEAST = 1e-6  # seconds that any work takes
LONG_ENOUGH = 0.3  # seconds that a run lasts at least, where the study has so much work
# Networks, then pairs, are measured until so many seconds are spent; up to the second number while there is a network,
# or a section, a sender or a receiver, that was not measured.
NETWORK_SECONDS, PAIR_SECONDS = (10.0, 20.0), (35.0, 100.0)
RIDGE = 0.01  # of the factors of sections, senders and receivers
FEWEST_IMAGES, FEW_IMAGES, MOST_IMAGES = 2, 8, 4096  # batch norm needs two
RUNS = 3  # of which the fastest counts; fewer of what takes long
# A product of two matrices that fit into a core's own cache takes 0.1 ms, less than a core is lent for.
SIDE, PRODUCTS = 128, 50
# Threads of OpenMP that wait for each other without sleeping take core time for as long as one of them has no core: two
# of them, beside two other processes, half as much again and more.
ASLEEP = {"OMP_WAIT_POLICY": "passive"}

Rates = dict[str, float]  # busy seconds of a job's cores per operation, by what was measured
Clock = Callable[[], float]
Run = Callable[[int], int]  # takes a number of images, and tells its operations


class PairCells(NamedTuple):
    """The cells of one pair and objective."""

    objective: str
    sender: str
    receiver: str
    sender_layers: list[int]
    receiver_layers: list[int]

    @property
    def size(self) -> int:
        """Number of cells."""
        return len(self.sender_layers) * len(self.receiver_layers)

    @property
    def architectures(self) -> tuple[str, str]:
        return NetworkId.parse(self.sender).architecture, NetworkId.parse(self.receiver).architecture


@dataclass(frozen=True)
class Speed:
    """How fast a machine is.

    Seconds are processor time per core of a job, so that other work on the machine counts little.

    Attributes:
        start: seconds from the start of a job to its first work.
        share: processor time of the measurement over the time that passed; 1 on a GPU.
        slowed: how many times as long as the fastest equal work took in a core's own time, by which the rates below go.
        networks: seconds per operation of training, by architecture.
        preparation: seconds from the start of a pair to its first step, by the key of its cells (`key_of`).
        training, evaluation: seconds per operation of stitches, by the key of their cells.
    """

    start: float
    share: float
    slowed: float
    networks: Rates
    preparation: Rates
    training: Rates
    evaluation: Rates


class PreparedPair(NamedTuple):
    """Networks of random weights, and the stitches of their cells before the first step.

    Attributes:
        pair: the networks and stitches.
        optimiser: updates the stitches; None where they are solved for.
        seconds: time that the start of the stitches took.
    """

    pair: StitchedPair
    optimiser: Optimiser | None
    seconds: float


class PairRuns(NamedTuple):
    """Functions that train the cells of a pair on a number of images, and evaluate them."""

    train: Run
    evaluate: Run


def key_of(plan: PlannedStudy, cells: PairCells) -> str:
    """A key that pairs of equal cost share: section, sender, receiver."""
    return " ".join((section_of(cells.objective), *(plan.representatives[name] for name in cells.architectures)))


def rate(rates: Rates, key: str) -> float:
    """The rate of a key, as measured or estimated."""
    return rates[key] if key in rates else estimates(rates, [key])[key]


def estimates(rates: Rates, keys: Iterable[str], apart: Collection[str] = ()) -> Rates:
    """Rates of keys, as measured or estimated.

    In an estimate each word of a key has a factor of its own: of a section, a sender and a receiver that were measured
    in other company. The factors are by least squares of logarithms, with a ridge; that of an unknown word is 1. A
    section in which anything takes no time takes none. In sections `apart` an estimate is the geometric mean of what
    was measured there.
    """
    free = {key.split()[0] for key, value in rates.items() if value <= 0}
    measured = {key: value for key, value in rates.items() if value > 0}
    means = {}
    for section in apart:
        own = [measured.pop(key) for key in list(measured) if key.split()[0] == section]
        means |= {section: statistics.geometric_mean(own)} if own else {}
    measured = measured or {key: value for key, value in rates.items() if value > 0}
    words = sorted({word for key in measured for word in enumerate(key.split())})
    present = np.array([[1.0, *(word in enumerate(key.split()) for word in words)] for key in measured])
    typical, factors = 0.0, {}
    if measured:
        products = present.T @ present + np.diag([0.0, *[RIDGE] * len(words)])
        typical, *logarithms = np.linalg.solve(products, present.T @ np.log(list(measured.values())))
        factors = dict(zip(words, logarithms, strict=True))

    def estimate(key: str) -> float:
        section = key.split()[0]
        if section in free or section in means:
            return means.get(section, 0.0)
        return float(np.exp(typical + sum(factors.get(word, 0.0) for word in enumerate(key.split()))))

    return {key: rates[key] if key in rates else estimate(key) for key in keys}


def in_order(keys: Iterable[str]) -> Iterator[str]:
    """Keys in an arbitrary but fixed order, in which words that were not there yet come early."""
    left, seen = sorted(keys, key=seed_of), set()
    while left:
        key = max(left, key=lambda key: len({*enumerate(key.split())} - seen))
        left.remove(key)
        seen.update(enumerate(key.split()))
        yield key


def cells_of(plan: PlannedStudy) -> Iterator[PairCells]:
    """The cells of every pair."""
    for objective, (sender, receiver) in plan.study.stitched_pairs():
        layers = plan.sender_layers(objective, sender), plan.receiver_layers(objective, receiver)
        yield PairCells(objective, str(sender), str(receiver), *layers)


def kinds(plan: PlannedStudy) -> dict[str, PairCells]:
    """The cells by which each key is measured: the most, since the control from the image has few."""
    return {key_of(plan, cells): cells for cells in sorted(cells_of(plan), key=lambda cells: cells.size)}


def measure_together(plan: PlannedStudy, start: float, device: str, processes: int) -> Speed:
    """Measure in several processes at the same time, and take the mean; `start` is passed on into `Speed`.

    Each begins with other networks and pairs, so that together they reach more of them.

    Raises:
        ModelstitchError: if one of them fails.
    """
    work = {
        "study": plan.study.model_dump(mode="json"),
        "sizes": plan.sizes,
        "descriptions": {name: one.as_json() for name, one in plan.descriptions.items()},
        "start": start,
        "device": device,
        "processes": processes,
    }
    environment = os.environ | ASLEEP | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "modelstitch.planning.speed"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(processes)
    ]
    for place, worker in enumerate(workers):
        worker.stdin.write(json.dumps(work | {"place": place}))
        worker.stdin.close()
        worker.stdin = None
    found = []
    for worker in workers:
        output, errors = worker.communicate()
        if worker.returncode:
            reason = errors.strip().rpartition("\n")[2] or f"ended by signal {-worker.returncode}"
            raise ModelstitchError(f"the measurement failed: {reason}")
        found.append(Speed(**json.loads(output)))
    pairs = {key_of(plan, cells) for cells in cells_of(plan)}
    # Of those that are solved for, products of inputs and targets are most of the work, whichever networks give them.
    solved = {section_of(name) for name, settings in plan.settings.items() if isinstance(settings, LeastSquares)}
    return Speed(
        start=start,
        share=statistics.fmean(one.share for one in found),
        slowed=statistics.fmean(one.slowed for one in found),
        networks=estimates(_mean([one.networks for one in found]), plan.representatives.values()),
        preparation=estimates(_mean([one.preparation for one in found]), pairs),
        training=estimates(_mean([one.training for one in found]), pairs, apart=solved),
        evaluation=estimates(_mean([one.evaluation for one in found]), pairs),
    )


def _mean(measured: Sequence[Rates]) -> Rates:
    keys = dict.fromkeys(key for rates in measured for key in rates)
    return {key: statistics.fmean(rates[key] for rates in measured if key in rates) for key in keys}


def measure(plan: PlannedStudy, start: float, device: str, place: int = 0, processes: int = 1) -> Speed:
    """Measure in this process, in its place among others; `start` is passed on into `Speed`."""
    dataset, clock = noise(plan.sizes), clock_of(device)
    watch, begun, worked = Stopwatch(clock, device == "cuda"), time.perf_counter(), clock()
    pairs = kinds(plan)
    networks = {
        name: watch.seconds_per_flop(network_run(plan, name, dataset, device), plan.sizes.train_images)
        for name in until(*NETWORK_SECONDS, set(plan.representatives.values()), place, processes)
    }
    preparation, rates, evaluation = {}, {}, {}
    for key in until(*PAIR_SECONDS, pairs, place, processes):
        prepared = prepare_pair(plan, pairs[key], dataset, device, clock)
        runs = pair_runs(plan, pairs[key], dataset, device, prepared)
        settings = plan.settings[pairs[key].objective]
        seen = objective_of(pairs[key].objective).images_seen(settings, plan.sizes.train_images)
        rates[key] = watch.seconds_per_flop(runs.train, seen)
        preparation[key] = prepared.seconds
        if prepared.optimiser is None and seen > MOST_IMAGES:  # else it is in the rate
            preparation[key] = watch.seconds(runs.train, FEWEST_IMAGES)
        evaluation[key] = watch.seconds_per_flop(runs.evaluate, plan.sizes.test_images)
    share = (clock() - worked) / (time.perf_counter() - begun)
    return Speed(start, share, watch.slowed(), networks, preparation, rates, evaluation)


def clock_of(device: str) -> Clock:
    """The clock of a measurement: the main thread's processor time, since it has its share of the work of all threads.

    Of a GPU it is the time that passes, since the process only waits for it.
    """
    return time.perf_counter if device == "cuda" else time.thread_time


def until(seconds: float, most: float, keys: Iterable[str], place: int = 0, processes: int = 1) -> Iterator[str]:
    """Yield at least one key, then others `in_order` until so many seconds have passed.

    If there is a word that is in no key yet, they go on until `most` seconds have passed. Of several processes each
    takes the keys of its place first, as cards are dealt.
    """
    begun, seen, ordered = time.monotonic(), set(), list(in_order(keys))
    own = ordered[place::processes]
    for key in [*own, *(key for key in ordered if key not in own)]:
        words = {*enumerate(key.split())}
        if seen and time.monotonic() > begun + (seconds if words <= seen else most):
            return
        yield key
        seen |= words


class Stopwatch:
    """Times work by a clock, and compares the median of equal runs with the fastest.

    Args:
        clock: the clock.
        records: whether steps are recorded, for each size of a batch after steps that are slower.
    """

    def __init__(self, clock: Clock, records: bool = False) -> None:
        self.clock, self.records = clock, records
        self._fastest, self._usual, self._products = [], [], []

    def seconds_per_flop(self, run: Run, most: int) -> float:
        """Seconds per operation of `run`, of the fastest of several runs.

        The number of images is doubled until a run is long enough to measure, or has `most` of them. The fixed cost of
        a run is subtracted, unless the run is all the work there is.
        """
        self._prepare(run, FEWEST_IMAGES)
        few, fewest_flops = self._timed(run, FEWEST_IMAGES)
        images = FEW_IMAGES
        while True:
            images = min(images, most, MOST_IMAGES)
            if self.records:
                self._prepare(run, images)
            taken, flops = self._timed(run, images)
            if taken - few > LONG_ENOUGH or images in (most, MOST_IMAGES):
                break
            images *= 2
        times = [taken]
        while len(times) < RUNS and sum(times) < RUNS * LONG_ENOUGH:
            times.append(self._timed(run, images)[0])
        self._time_products()
        self._fastest.append(min(times))
        self._usual.append(statistics.median(times))
        if images == most:
            return min(times) / flops
        return max(min(times) - few, LEAST) / (flops - fewest_flops)

    @staticmethod
    def _prepare(run: Run, images: int) -> None:
        """Make what is made once, and record what is recorded."""
        for _ in range(FIRST_STEPS + 1):
            run(images)

    def seconds(self, run: Run, images: int) -> float:
        """Seconds of one run."""
        return self._timed(run, images)[0]

    def slowed(self) -> float:
        """1 where all equal work took the same time, 2 where the usual took twice the fastest: of runs, of products."""
        products = sorted(self._products)
        fast = products[len(products) // 20]  # the very fastest are the clock's errors
        return max(sum(self._usual) / sum(self._fastest), statistics.median(products) / fast)

    def _timed(self, run: Run, images: int) -> tuple[float, int]:
        start = self.clock()
        flops = run(images)
        return self.clock() - start, flops

    def _time_products(self) -> None:
        """Some very short work of one thread, of which some is undisturbed on a machine that is ever idle."""
        matrix, threads = torch.ones(SIDE, SIDE), torch.get_num_threads()
        torch.set_num_threads(1)
        for _ in range(PRODUCTS):
            start = self.clock()
            matrix @ matrix
            self._products.append(self.clock() - start)
        torch.set_num_threads(threads)


def noise(sizes: Sizes) -> Dataset:
    """Random images and labels, the most that a measurement takes."""
    generator = np.random.default_rng(0)
    train, test = (
        Split(
            generator.integers(256, size=(count, *sizes.image), dtype=np.uint8),
            generator.integers(sizes.classes, size=count),
        )
        for count in (min(sizes.train_images, MOST_IMAGES), min(sizes.test_images, MOST_IMAGES))
    )
    half = np.full(sizes.image[0], 0.5, np.float32)
    return Dataset("noise", train, test, tuple(map(str, range(sizes.classes))), half, half, "")


def first(split: Split, count: int) -> Split:
    return Split(split.images[:count], split.labels[:count])


def random_network(plan: PlannedStudy, name: str, dataset: Dataset) -> Network:
    """A network of an architecture with random weights."""
    return making.initial(NetworkId(name, "random", 0), plan.study.networks.complete(name), dataset, 0)


def network_run(plan: PlannedStudy, name: str, dataset: Dataset, device: str) -> Run:
    """A run that trains a network by the steps of `training.train`, or evaluates it if the study trains none."""
    settings = plan.study.networks.complete(name).training
    if settings is None:
        return evaluation_run(plan, name, dataset, device)
    dtype = hardware.choose_precision(settings.precision, device)
    hardware.prepare(device, dtype, search=True)
    network = random_network(plan, name, dataset)
    network.module.to(device, memory_format=network.memory_format).train()
    optimiser = training.optimiser_of(network.module, settings)
    flops = 3 * plan.descriptions[name].total_operations

    def step(images: Tensor, labels: Tensor) -> None:
        training.take_step(network, optimiser, images, labels, dtype)

    take = steps_on(dataset, settings, device, step, optimiser)
    return lambda images: flops * math.prod(take(images))


def steps_on(
    dataset: Dataset,
    settings: Training | TrainedStitches,
    device: str,
    step: Callable[[Tensor, Tensor], None],
    optimiser: Optimiser,
) -> Callable[[int], tuple[int, int]]:
    """A function that takes an epoch's steps on so many images, and tells their number and the images of each.

    As in a training, steps on batches of one size are recorded on a GPU.
    """
    repeated: dict[int, RepeatedStep] = {}  # by images of a batch

    def take(images: int) -> tuple[int, int]:
        some = DeviceImages(dataset, first(dataset.train, images), device)
        batch = min(settings.batch, len(some))
        if batch not in repeated:
            repeated[batch] = RepeatedStep(step, optimiser, device)
        for augmented, labels in some.shuffled(batch, 0, settings.augmentation):
            repeated[batch](augmented, labels, RATE)
        if device == "cuda":
            torch.cuda.synchronize()
        return len(some) // batch, batch

    return take


def evaluation_run(plan: PlannedStudy, name: str, dataset: Dataset, device: str) -> Run:
    """A run that evaluates a network."""
    hardware.prepare(device)
    frozen = FrozenNetwork(random_network(plan, name, dataset), device=device)

    def run(images: int) -> int:
        evaluate(frozen, DeviceImages(dataset, first(dataset.test, images), device))
        return plan.descriptions[name].total_operations * min(images, len(dataset.test.labels))

    return run


def prepare_pair(plan: PlannedStudy, cells: PairCells, dataset: Dataset, device: str, clock: Clock) -> PreparedPair:
    """Start the stitches of a pair's cells, and measure the time."""
    settings = plan.settings[cells.objective]
    hardware.prepare(device, hardware.choose_precision(settings.precision, device))
    networks = [random_network(plan, name, dataset) for name in cells.architectures]
    frozen = [freeze(network, settings.precision, device) for network in networks]
    layers = cells.sender_layers, cells.receiver_layers
    shapes = geometries(frozen[0].shapes, frozen[1].shapes, *layers, geometry_of(settings.family))
    if isinstance(settings, LeastSquares):
        stitches = new_stitches(shapes, settings.family, (), device)
        return PreparedPair(StitchedPair(*frozen, stitches), optimiser=None, seconds=0.0)
    images = DeviceImages(dataset, dataset.train, device)
    begun = clock()
    stitches, optimiser, _ = protocol_of(settings.protocol).begin(FitInputs(*frozen, shapes, images, settings, (0,)))
    seconds = clock() - begun
    if isinstance(settings, FastStitches | AdamStitches):
        wanted = min(settings.statistics_images, plan.sizes.train_images)
        seconds *= wanted / min(wanted, len(images))
    return PreparedPair(StitchedPair(*frozen, stitches), optimiser, seconds)


def pair_runs(plan: PlannedStudy, cells: PairCells, dataset: Dataset, device: str, prepared: PreparedPair) -> PairRuns:
    """The runs that are measured once a pair's cells are prepared."""
    pair, optimiser, _ = prepared
    objective, settings = objective_of(cells.objective), plan.settings[cells.objective]
    work = plan.work(cells.sender, cells.receiver, cells.sender_layers, cells.receiver_layers, settings.family)

    alignment = objective.alignment(pair.receiver) if hasattr(objective, "alignment") else None
    tally = Tally(list(pair.stitches), device)

    def step(images: Tensor, labels: Tensor) -> None:
        stitch_training.take_step(pair, optimiser, images, labels, tally, alignment=alignment)

    take = steps_on(dataset, settings, device, step, optimiser)

    def train(images: int) -> int:
        steps, batch = take(images)
        beside = protocol_of(settings.protocol).operations(settings, work, 0, steps)
        return steps * batch * work.passes_operations(passes=2) + beside

    def solve(images: int) -> int:
        some = DeviceImages(dataset, first(dataset.train, images), device)
        shapes = {cell: stitch.geometry for cell, stitch in pair.stitches.items()}
        objective.fit(FitInputs(pair.sender, pair.receiver, shapes, some, settings, (0,), cells.objective))
        return objective.operations(settings, work, len(some))

    def evaluate(images: int) -> int:
        some = DeviceImages(dataset, first(dataset.test, images), device)
        predict(pair, some)
        return len(some) * work.passes_operations(passes=1)

    return PairRuns(solve if optimiser is None else train, evaluate)


def main() -> None:
    work = json.load(sys.stdin)
    study = Study.model_validate(work["study"])
    image, *counts = work["sizes"]
    descriptions = {name: Description.from_json(values) for name, values in work["descriptions"].items()}
    plan = PlannedStudy(study, Sizes(tuple(image), *counts), descriptions)
    torch.set_num_threads(study.jobs.threads)
    hardware.prepare(work["device"])
    json.dump(asdict(measure(plan, *(work[name] for name in ("start", "device", "place", "processes")))), sys.stdout)


if __name__ == "__main__":
    main()
