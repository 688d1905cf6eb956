"""What the converged matrix takes by the protocols of others, as loops and in this engine, and by `fast`.

    python benchmarks/others.py --results results/photo-digits --pair R1111_trained_s0 R1122_trained_s0

Processor time of training until the matrix is within 0.02 of the converged one: mean absolute difference of test
accuracy over all cells. The networks, the images and their augmentation are a finished study's. The protocols, written
from the settings that the papers and their public code state, with none of that code copied:

- `paper` (arXiv 2303.11277, config/paper.yaml): random start, SGD at a rate of 0.01 with momentum 0.9 and weight decay
  0.01, batches of 256, 4 epochs, the first a warm-up.
- `balogh-jelasity` (arXiv 2412.11299): random start, Adam at 0.001, weight decay 0.00001, batches of 256, 30 epochs.
- `csiszarik` (arXiv 2110.14633): least squares over all training images, then Adam at 0.001, batches of 128, 30 epochs.
- `fast`: this project's, by the study's own settings.

The second of them holds its rate, the third divides it by ten after a third and two thirds of its epochs. Here both
fall by a cosine, as this engine's `adam` does, and the weight decay is decoupled.

Schedules depend on their length. So each protocol is trained at its published length, then at lengths shorter or longer
by factors of two, and the shortest counts that is within 0.02. Where none is before the next would take more than
`--most-seconds` in the engine, the longest stands in the table, as `more than`. Evaluation is not counted. The
converged matrix is the larger accuracy, cell by cell, of `fast` from least squares and from a random start after
`--reference-epochs`, in float32.

A whole training by a loop takes hours. So it is a product: the seconds of a step of every cell, by the median of steps
before and after each training in the engine, times the steps that the engine needs. A start by least squares counts as
what it takes the engine, for all cells at once. Two things show that this is allowed: loop and engine take the first
steps of each protocol side by side, with the largest difference in the JSON, and the loop of the least product runs
as a whole.

One thread of a processor, a table for each precision. The last line is JSON.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from common import machine, show, significant
from loop import Loop, adamw, sgd
from studied import Difference, StudiedPair, difference, parser, task_of
from torch import Tensor

from modelstitch.config.defaults import default_settings
from modelstitch.config.stitches import STARTS, FastStitches, PaperStitches, TrainedStitches
from modelstitch.engine.evaluation import Tally
from modelstitch.engine.pair import StitchedPair
from modelstitch.errors import ModelstitchError
from modelstitch.fitting.beginning import Beginning
from modelstitch.fitting.protocols import protocol_of
from modelstitch.fitting.steps import planned_steps, steps
from modelstitch.fitting.training import take_step

WITHIN = 0.02
SIDE_BY_SIDE = 5  # steps that loop and engine take
TIMED = 2  # steps of a loop before each training in the engine, and after it


class Protocol(NamedTuple):
    """A way to train stitches.

    Attributes:
        name: in the table.
        published: its settings, at the length that was published.
        optimiser: what moves a stitch of its loop; None where there is no loop.
    """

    name: str
    published: TrainedStitches
    optimiser: Callable[[list[Tensor]], torch.optim.Optimizer] | None

    def lasting(self, epochs: float) -> TrainedStitches:
        """Its settings at another length."""
        changes = {"epochs": epochs}
        if isinstance(self.published, PaperStitches):
            changes["warmup_epochs"] = self.published.warmup_epochs * epochs / self.published.epochs
        return self.published.model_copy(update=changes)


class Training(NamedTuple):
    """One training in the engine."""

    settings: TrainedStitches
    steps: int
    seconds: float
    accuracies: np.ndarray
    apart: Difference

    @property
    def within(self) -> bool:
        return self.apart.mean <= WITHIN

    def row(self) -> dict[str, Any]:
        """What the table says of it."""
        return {
            "epochs": self.settings.epochs,
            "steps": self.steps,
            "bound": "" if self.within else "more than",
            "seconds": significant(self.seconds),
            "seconds_are": "measured",
            "mean_difference": self.apart.mean,
            "largest": self.apart.largest,
        }


class TimedLoop:
    """The loop of a protocol, after the first steps of a training, which the engine takes beside it.

    Attributes:
        start: seconds before the first step.
        loss_difference, parameter_difference: the largest between loop and engine.
        seconds: of every step that was timed.
    """

    def __init__(self, pair: StudiedPair, protocol: Protocol) -> None:
        settings = protocol.published
        began = time.process_time()
        stitches, optimiser, _ = begin(pair, settings)
        self.start = time.process_time() - began
        engine = StitchedPair(pair.sender, pair.receiver, stitches)
        alone = begin(pair, settings).stitches
        self.loop = Loop(pair.networks, alone, pair.device, pair.sender.dtype, protocol.optimiser)
        self.loss_difference = 0.0
        for self.batch in itertools.islice(batches(pair, settings), SIDE_BY_SIDE):
            optimiser.rate, *batch = self.batch
            tally = Tally(pair.cells, pair.device)
            take_step(engine, optimiser, *batch, tally)
            losses = self.step()
            apart = (losses - tally.loss / settings.batch).abs().max().item()
            self.loss_difference = max(self.loss_difference, apart)
        self.parameter_difference = max(
            (one - other).abs().max().item()
            for cell in pair.cells
            for one, other in zip(stitches[cell].parameters, alone[cell].parameters, strict=True)
        )
        self.seconds: list[float] = []

    def step(self) -> Tensor:
        """Losses (cells,) of a step on the last batch."""
        rate, images, labels = self.batch
        return self.loop.step(images, labels, rate)

    def take(self) -> None:
        """Time some steps."""
        for _ in range(TIMED):
            began = time.process_time()
            self.step()
            self.seconds.append(time.process_time() - began)

    @property
    def step_seconds(self) -> float:
        """Median of a step of every cell."""
        return statistics.median(self.seconds)


class Found(NamedTuple):
    """What a protocol takes: all its trainings in the engine, and its loop, if it has one."""

    protocol: Protocol
    trainings: list[Training]
    loop: TimedLoop | None

    @property
    def best(self) -> Training:
        """The shortest that is within, or the longest where none is."""
        within = [each for each in self.trainings if each.within]
        return min(within, key=lambda each: each.steps) if within else max(self.trainings, key=lambda each: each.steps)

    def loop_seconds(self) -> float:
        """Of the best training, as a product."""
        return self.loop.start + self.best.steps * self.loop.step_seconds

    def rows(self) -> list[dict[str, Any]]:
        """Of the table: the loop, if there is one, and the engine."""
        best = self.best.row()
        rows = [{"protocol": self.protocol.name, "how": "engine"} | best]
        if self.loop:
            step = significant(self.loop.step_seconds)
            product = {
                "seconds": significant(self.loop_seconds()),
                "seconds_are": f"{step} s x {self.best.steps} steps",
            }
            rows.insert(0, {"protocol": self.protocol.name, "how": "loop"} | best | product)
        return rows

    def details(self) -> dict[str, Any]:
        """All trainings, and how loop and engine differ."""
        found = {"trainings": [each.row() | {"accuracies": each.accuracies.tolist()} for each in self.trainings]}
        names = ("start", "step_seconds", "loss_difference", "parameter_difference")
        return found | ({name: getattr(self.loop, name) for name in names} if self.loop else {})


def main() -> None:
    arguments = parse()
    torch.set_num_threads(1)
    task = task_of(arguments.results)
    if not isinstance(task, FastStitches):
        raise ModelstitchError(f"{arguments.results}: stitches.task.protocol is {task.protocol}: expected fast")
    pairs = {}
    for precision in ("float32", "auto"):
        pair = StudiedPair(arguments, "cpu", precision)
        pairs.setdefault(pair.precision, pair)
    exact = pairs["float32"]
    reference, starts_apart = converged(exact, task, arguments.reference_epochs)
    lengths: dict[str, float] = {}
    tables, details = {}, {}
    for precision, pair in pairs.items():
        found = [compared(pair, each, lengths, reference, arguments.most_seconds) for each in protocols(task, exact)]
        fast = found[-1].best.seconds
        tables[precision] = [
            row | {"times_fast": round(row["seconds"] / fast, 1)} for one in found for row in one.rows()
        ]
        details[precision] = {one.protocol.name: one.details() for one in found}
        lengths |= {one.protocol.name: one.best.settings.epochs for one in found}
        if pair is exact:
            whole = whole_loop(pair, found, reference)
    about = machine("cpu") | {
        "pair": arguments.pair,
        "cells": len(exact.cells),
        "training_images": len(exact.train),
        "test_images": len(exact.test),
        "reference": reference.tolist(),
        "starts_apart": starts_apart,
        "whole_loop": whole,
        "details": details,
    }
    print(whole)
    show(about, **tables)


def parse() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--reference-epochs", type=float, default=8, help="of the converged matrix")
    options.add_argument("--most-seconds", type=float, default=600, help="of processor time, of one training")
    return options.parse_args()


def protocols(task: FastStitches, pair: StudiedPair) -> list[Protocol]:
    """All that are compared, as they were published; the last is `fast`, by the study's settings of the task."""
    same = {"augmentation": task.augmentation.model_dump()}
    least_squares = {"start": "least-squares", "statistics_images": len(pair.train)}
    other = {"batch": 128, "weight_decay": 0.0}
    adam = default_settings("task", "adam", same)
    return [
        Protocol("paper", default_settings("task", "paper", same), sgd),
        Protocol("balogh-jelasity", adam, partial(adamw, weight_decay=adam.weight_decay)),
        Protocol(
            "csiszarik",
            default_settings("task", "adam", same | least_squares | other),
            partial(adamw, weight_decay=0.0),
        ),
        Protocol("fast", task, None),
    ]


def converged(pair: StudiedPair, task: FastStitches, epochs: float) -> tuple[np.ndarray, float]:
    """The converged test accuracies (cells,), and the mean difference between the two starts that make them."""
    both = [
        pair.trained(task.model_copy(update={"epochs": epochs, "start": start}), seed)[0]
        for seed, start in enumerate(STARTS, start=1)
    ]
    return np.maximum(*both), difference(*both).mean


def compared(
    pair: StudiedPair, protocol: Protocol, lengths: dict[str, float], reference: np.ndarray, most_seconds: float
) -> Found:
    """A protocol at its published length, or the one in `lengths`, then at shorter or longer ones."""
    loop = TimedLoop(pair, protocol) if protocol.optimiser else None
    trainings: list[Training] = []
    epochs = lengths.get(protocol.name, protocol.published.epochs)
    while epochs:
        settings = protocol.lasting(epochs)
        if loop:
            loop.take()
        accuracies, seconds = pair.trained(settings)
        if loop:
            loop.take()
        count = planned_steps(settings, pair.train)
        trainings.append(Training(settings, count, seconds, accuracies, difference(accuracies, reference)))
        print(protocol.name, pair.precision, trainings[-1].row(), flush=True)
        epochs = next_length(trainings, most_seconds)
    return Found(protocol, trainings, loop)


def next_length(trainings: list[Training], most_seconds: float) -> float | None:
    """Epochs of the next training: half or twice those of the last, until one of two is within and the other not."""
    last = trainings[-1]
    if len(trainings) > 1 and trainings[-2].within != last.within:
        return None
    if last.within:
        return last.settings.epochs / 2 if last.steps > 1 else None
    return last.settings.epochs * 2 if 2 * last.seconds <= most_seconds else None


def begin(pair: StudiedPair, settings: TrainedStitches) -> Beginning:
    """Stitches before their first step, and what moves them in the engine."""
    return protocol_of(settings.protocol).begin(pair.inputs(settings))


def batches(pair: StudiedPair, settings: TrainedStitches) -> Iterator[tuple[float, Tensor, Tensor]]:
    """Rate, images and labels of each step that the engine takes."""
    inputs = pair.inputs(settings)
    for _, rate, images, labels in steps(pair.train, settings, (*inputs.seed, "order"), inputs.label):
        yield rate, images, labels


def whole_loop(pair: StudiedPair, found: list[Found], reference: np.ndarray) -> dict[str, Any]:
    """The loop of the least product, run from its beginning to its end on the engine's images."""
    least = min((one for one in found if one.loop), key=Found.loop_seconds)
    settings = least.best.settings
    began = time.process_time()
    stitches = begin(pair, settings).stitches
    loop = Loop(pair.networks, stitches, pair.device, pair.sender.dtype, least.protocol.optimiser)
    for rate, images, labels in batches(pair, settings):
        loop.step(images, labels, rate)
    seconds = time.process_time() - began
    accuracies = pair.accuracies(stitches)
    return {
        "protocol": least.protocol.name,
        "steps": least.best.steps,
        "seconds": significant(seconds),
        "product": significant(least.loop_seconds()),
        "ratio": round(seconds / least.loop_seconds(), 3),
        "mean_difference": difference(accuracies, reference).mean,
        "difference_to_engine": difference(accuracies, least.best.accuracies).mean,
    }


if __name__ == "__main__":
    main()
