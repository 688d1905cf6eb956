"""Cost of a cell against the number of cells of a pair, which must fall: what cells share is done once.

    python benchmarks/scaling.py --width 8

Trains more and more rows of a pair's matrix by the engine: the same columns, and 1, 2, ... sender layers from the last
one back, so that the sender's pass is whole from the first. Each size is timed in turn, several times; the last line
is JSON with the medians.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from modelstitch import hardware
from modelstitch.architectures import count_layers
from modelstitch.costs import pair_flops
from modelstitch.frozen import FrozenNetwork
from modelstitch.networks import build
from modelstitch.seeds import seed_of
from modelstitch.stitches import geometries, initialise
from modelstitch.stitching import StitchedPair, Tally, take_step

IMAGE, CLASSES = (3, 32, 32), 10


def main() -> None:
    arguments = parse()
    device = hardware.choose_device(arguments.device)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(arguments.batch, *IMAGE, generator=generator).to(device, memory_format=torch.channels_last)
    labels = torch.randint(CLASSES, (arguments.batch,), generator=generator).to(device)
    layers = count_layers(arguments.architecture)
    frozen = [
        FrozenNetwork(build(arguments.architecture, arguments.width, IMAGE[0], CLASSES, seed).eval(), device=device)
        for seed in range(2)
    ]
    rows = [range(layers - count, layers) for count in range(1, layers + 1)]
    pairs = [stitched_pair(frozen, senders, range(layers), device) for senders in rows]
    seconds = [[] for _ in pairs]
    for repeat in range(arguments.repeats + 1):
        for pair, taken in zip(pairs, seconds, strict=True):
            elapsed = time_step(*pair, images, labels)
            if repeat:  # the first step allocates: it is not counted
                taken.append(elapsed)
    sizes = []
    for senders, taken in zip(rows, seconds, strict=True):
        cells, median = len(senders) * layers, statistics.median(taken)
        architectures = (arguments.architecture, arguments.architecture)
        flops = arguments.batch * pair_flops(*architectures, arguments.width, IMAGE, senders, range(layers))
        sizes.append(
            {
                "cells": cells,
                "seconds": round(median, 4),
                "milliseconds_per_cell": round(1000 * median / cells, 3),
                "gflops_per_cell": round(flops / cells / 1e9, 3),
                "gflops_per_second": round(flops / median / 1e9, 2),
            }
        )
    print("  ".join(sizes[0]))
    for size in sizes:
        print("  ".join(str(value).rjust(len(name)) for name, value in size.items()))
    about = {name: getattr(arguments, name) for name in ("architecture", "width", "batch", "repeats")}
    print(
        json.dumps(
            about | {"device": hardware.device_name(device), "threads": torch.get_num_threads()} | {"sizes": sizes}
        )
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="R1112", help="of sender and receiver")
    parser.add_argument("--width", type=int, default=8, help="channels of the first stage")
    parser.add_argument("--batch", type=int, default=32, help="images a step")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, help="torch's own number by default")
    parser.add_argument("--repeats", type=int, default=5, help="steps of each size, of which the median counts")
    return parser.parse_args()


def stitched_pair(
    frozen: list[FrozenNetwork], senders: range, receivers: range, device: str
) -> tuple[StitchedPair, torch.optim.Optimizer]:
    """A pair with the cells of some layers, and what moves its stitches."""
    sources, targets = (network.shapes(IMAGE) for network in frozen)
    cells = geometries(sources, targets, senders, receivers)
    stitches = {cell: initialise(geometry, seed_of(*cell), device) for cell, geometry in cells.items()}
    parameters = [tensor for stitch in stitches.values() for tensor in (stitch.weight, stitch.bias)]
    return StitchedPair(*frozen, stitches), torch.optim.SGD(parameters, lr=0.01, momentum=0.9, fused=True)


def time_step(
    pair: StitchedPair, optimiser: torch.optim.Optimizer, images: torch.Tensor, labels: torch.Tensor
) -> float:
    """Seconds of a step."""
    start = time.perf_counter()
    tally = Tally(list(pair.stitches), images.device.type)
    take_step(pair, optimiser, images, labels, tally)
    tally.means()  # waits for the device
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
