"""How the cost grows with the number of cells of a pair, and of pairs in a process.

    python benchmarks/scaling.py --width 8

Cells: trains more and more rows of a pair's matrix by the engine: the same columns, and 1, 2, ... sender layers from
the last one back, so that the sender's pass is whole from the first. Each size is timed in turn, several times. What
cells share is done once, so that the cost of a cell must fall.

Pairs: 1, 2 and 4 pairs one after the other, each made anew, trained for several steps and dropped. Nothing is kept from
one to the next, so that time a pair and memory must stay what they are. The last line is JSON with both tables.
"""

import argparse
import statistics

import torch
from common import (
    IMAGE,
    Engine,
    architecture,
    begin,
    freeze,
    machine,
    parser,
    peak_memory,
    random_batch,
    random_network,
    show,
    timed,
)

from modelstitch.networks.architectures import count_layers
from modelstitch.planning.costs import pair_flops

PAIRS = (1, 2, 4)


def main() -> None:
    arguments = parse()
    device = begin(arguments)
    about = {name: getattr(arguments, name) for name in ("architecture", "width", "batch", "repeats")}
    # Pairs first: what is reported is the process's peak so far, which never falls.
    tables = {"pairs": pair_rows(arguments, device), "sizes": cell_rows(arguments, device)}
    show(about | machine(device), **tables)


def parse() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--architecture", default="R1112", type=architecture, help="of sender and receiver")
    options.add_argument("--width", type=int, default=8, help="channels of the first stage")
    options.add_argument("--batch", type=int, default=32, help="images a step")
    options.add_argument("--repeats", type=int, default=5, help="steps of each size, of which the median counts")
    return options.parse_args()


def pair_rows(arguments: argparse.Namespace, device: str) -> list[dict]:
    """A row for each number of pairs; what the first pair of a process takes more is not counted."""
    batch = random_batch(arguments.batch, device)
    seeds = iter(range(2 * (1 + sum(PAIRS))))

    def train_pair() -> None:
        networks = [random_network(arguments.architecture, arguments.width, next(seeds)) for _ in range(2)]
        engine = Engine(freeze(networks, torch.float32, device), *batch)
        for _ in range(arguments.repeats):
            engine.step()

    train_pair()
    rows = []
    for count in PAIRS:
        seconds = sum(timed(train_pair, device)[0] for _ in range(count))
        row = {"pairs": count, "seconds": round(seconds, 4), "seconds_per_pair": round(seconds / count, 4)}
        rows.append(row | peak_memory(device))
    return rows


def cell_rows(arguments: argparse.Namespace, device: str) -> list[dict]:
    """A row for each number of sender layers."""
    layers = range(count_layers(arguments.architecture))
    networks = [random_network(arguments.architecture, arguments.width, seed) for seed in range(2)]
    frozen, batch = freeze(networks, torch.float32, device), random_batch(arguments.batch, device)
    senders = [layers[-count:] for count in range(1, len(layers) + 1)]
    engines = [Engine(frozen, *batch, sender_layers) for sender_layers in senders]
    seconds = [[] for _ in engines]
    for repeat in range(arguments.repeats + 1):
        for engine, taken in zip(engines, seconds, strict=True):
            elapsed, _ = timed(engine.step, device)
            if repeat:  # the first step allocates: it is not counted
                taken.append(elapsed)
    rows = []
    for sender_layers, taken in zip(senders, seconds, strict=True):
        cells, median = len(sender_layers) * len(layers), statistics.median(taken)
        architectures = (arguments.architecture, arguments.architecture)
        flops = arguments.batch * pair_flops(*architectures, arguments.width, IMAGE, sender_layers, layers)
        rows.append(
            {
                "cells": cells,
                "seconds": round(median, 4),
                "milliseconds_per_cell": round(1000 * median / cells, 3),
                "gflops_per_cell": round(flops / cells / 1e9, 3),
                "gflops_per_second": round(flops / median / 1e9, 2),
            }
        )
    return rows


if __name__ == "__main__":
    main()
