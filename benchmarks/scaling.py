"""How the cost grows with the number of cells of a pair, and of pairs in a process.

    python benchmarks/scaling.py --width 8

Cells: trains more and more rows of a pair's matrix by the engine: the same columns, and 1, 2, ... sender layers from
the last one back, so that the sender's pass is whole from the first. Each size is timed in turn, several times. What
cells share is done once, so that the cost of a cell must fall.

Pairs: 1, 2 and 4 pairs one after the other, each made anew, trained for several steps and dropped. Nothing is kept from
one to the next, so that time per pair and memory must stay what they are. The last line is JSON with both tables.
"""

import argparse
import itertools
import statistics

import torch
from common import (
    Engine,
    begin,
    freeze,
    machine,
    model_name,
    parser,
    peak_memory,
    random_batch,
    random_network,
    show,
    step_operations,
    timed,
)

from modelstitch.networks.network import Network
from modelstitch.planning.description_of import described

PAIRS = (1, 2, 4)


def main() -> None:
    arguments = parse()
    device = begin(arguments)
    about = {name: getattr(arguments, name) for name in ("architecture", "width", "image", "batch", "repeats")}
    # Pairs first: what is reported is the process's peak so far, which never falls.
    tables = {"pairs": pair_rows(arguments, device), "sizes": cell_rows(arguments, device)}
    show(about | machine(device), **tables)


def parse() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--architecture", default="R1112", type=model_name, help="of sender and receiver")
    options.add_argument("--width", type=int, default=8, help="of a Small ResNet's first stage")
    options.add_argument("--batch", type=int, default=32, help="images per step")
    options.add_argument("--repeats", type=int, default=5, help="steps of each size, of which the median counts")
    return options.parse_args()


def random_pair(arguments: argparse.Namespace, first_seed: int = 0) -> list[Network]:
    seeds = (first_seed, first_seed + 1)
    return [random_network(arguments.architecture, arguments.width, arguments.image, seed) for seed in seeds]


def pair_rows(arguments: argparse.Namespace, device: str) -> list[dict]:
    """A row for each number of pairs; what the first pair of a process takes more is not counted."""
    batch = random_batch(arguments.batch, arguments.image, device)
    seeds = itertools.count(step=2)

    def train_pair() -> None:
        engine = Engine(freeze(random_pair(arguments, next(seeds)), torch.float32, device), *batch)
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
    networks = random_pair(arguments)
    layers, descriptions = range(len(networks[0].layers)), list(map(described, networks))
    frozen = freeze(networks, torch.float32, device)
    batch = random_batch(arguments.batch, arguments.image, device)
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
        flops = arguments.batch * step_operations(descriptions, sender_layers)
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
