"""Time the engine against the loop that everybody writes, on the same cells, in one run.

    python benchmarks/stitching_speed.py --width 16

The loop trains each stitch alone: sender prefix, stitch, receiver suffix, frozen weights, float32, the whole batch at
once. Both sides take the same steps on the same images, in turn; the last line is JSON with the medians, and with the
largest difference of a loss, a weight or a bias between the loop and the engine in float32.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
import torch.nn.functional as F
from torch import Tensor

from modelstitch import hardware, networks
from modelstitch.architectures import block_counts, canonical, count_layers
from modelstitch.costs import pair_flops
from modelstitch.errors import ModelstitchError
from modelstitch.frozen import FrozenNetwork
from modelstitch.seeds import seed_of
from modelstitch.stitches import Stitch, geometries, initialise
from modelstitch.stitching import StitchedPair, Tally, take_step
from tests.naive import stitched

IMAGE = (3, 32, 32)
CLASSES = 10
RATE, MOMENTUM, WEIGHT_DECAY = 0.01, 0.9, 0.01  # the paper's


def main() -> None:
    arguments = parse()
    device, precision = hardware.choose_device(arguments.device), arguments.precision
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    sender, receiver = (
        networks.build(architecture, arguments.width, IMAGE[0], CLASSES, seed).eval().requires_grad_(False).to(device)
        for seed, architecture in enumerate(arguments.architectures)
    )
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(arguments.batch, *IMAGE, generator=generator).to(device)
    labels = torch.randint(CLASSES, (arguments.batch,), generator=generator).to(device)

    alone = Loop(sender, receiver, images, labels)
    together = Engine(sender, receiver, images, labels, getattr(torch, precision))
    exact = together if precision == "float32" else Engine(sender, receiver, images, labels, torch.float32)
    differences, loop_seconds, engine_seconds = [], [], []
    together.step(), alone.step()  # the first step of each side allocates: it is not counted
    if exact is not together:
        exact.step()
    for _ in range(arguments.repeats):
        seconds, loop_losses = timed(alone.step, device)
        loop_seconds.append(seconds)
        seconds, losses = timed(together.step, device)
        engine_seconds.append(seconds)
        if exact is not together:
            losses = exact.step()
        differences.append((loop_losses - losses).abs().max().item())
    differences += [
        (one - other).abs().max().item()
        for (_, stitch, _), same in zip(alone.stitches, exact.pair.stitches.values(), strict=True)
        for one, other in zip(stitch[:2], same[:2], strict=True)
    ]

    loop, engine = statistics.median(loop_seconds), statistics.median(engine_seconds)
    layers = [range(count_layers(architecture)) for architecture in arguments.architectures]
    cells = len(layers[0]) * len(layers[1])
    operations = arguments.batch * pair_flops(*arguments.architectures, arguments.width, IMAGE, *layers)
    result = {
        "sender": arguments.architectures[0],
        "receiver": arguments.architectures[1],
        "width": arguments.width,
        "batch": arguments.batch,
        "cells": cells,
        "device": hardware.device_name(device),
        "threads": torch.get_num_threads(),
        "precision": precision,
        "repeats": arguments.repeats,
        "loop_seconds": round(loop, 4),
        "engine_seconds": round(engine, 4),
        "ratio": round(loop / engine, 3),
        "images_cells_per_second": round(arguments.batch * cells / engine, 1),
        "flops_per_second": float(f"{operations / engine:.4g}"),
        "max_difference": max(differences),
    }
    width = max(map(len, result))
    for name, value in result.items():
        print(f"{name:<{width}}  {value}")
    print(json.dumps(result))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--architectures", nargs=2, default=["R1112", "R1112"], type=architecture, metavar=("SENDER", "RECEIVER")
    )
    parser.add_argument("--width", type=int, default=16, help="channels of the first stage")
    parser.add_argument("--batch", type=int, default=256, help="images a step (256 in the paper)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="of the engine")
    parser.add_argument("--threads", type=int, help="of both sides; torch's own number by default")
    parser.add_argument("--repeats", type=int, default=5, help="steps of each side, of which the median counts")
    return parser.parse_args()


def architecture(text: str) -> str:
    name = canonical(text)
    try:
        block_counts(name)
    except ModelstitchError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return name


def timed(step, device: str) -> tuple[float, Tensor]:
    """Seconds of a step, and its losses (cells,)."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    losses = step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start, losses


def fresh_stitches(sender: networks.SmallResNet, receiver: networks.SmallResNet, device) -> dict[tuple, Stitch]:
    """The same stitches for both sides, of every cell, column by column."""
    frozen = FrozenNetwork(sender), FrozenNetwork(receiver)
    sources, targets = (network.shapes(IMAGE) for network in frozen)
    cells = geometries(sources, targets, *(range(len(network.layers)) for network in frozen))
    return {cell: initialise(geometry, seed_of(*cell), device) for cell, geometry in cells.items()}


class Loop:
    """Every stitch alone, one after the other."""

    def __init__(self, sender, receiver, images: Tensor, labels: Tensor) -> None:
        self.networks, self.images, self.labels = (sender, receiver), images, labels
        stitches = fresh_stitches(sender, receiver, images.device)
        self.stitches = [(cell, stitch, sgd([stitch])) for cell, stitch in stitches.items()]

    def step(self) -> Tensor:
        losses = []
        for cell, stitch, optimiser in self.stitches:
            loss = F.cross_entropy(stitched(*self.networks, cell, stitch, self.images), self.labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        return torch.tensor(losses)


class Engine:
    """All stitches together."""

    def __init__(self, sender, receiver, images: Tensor, labels: Tensor, dtype: torch.dtype) -> None:
        stitches = fresh_stitches(sender, receiver, images.device)
        device = images.device.type
        self.pair = StitchedPair(FrozenNetwork(sender, dtype, device), FrozenNetwork(receiver, dtype, device), stitches)
        self.optimiser = sgd(list(stitches.values()), fused=True)
        self.images, self.labels = images.to(dtype, memory_format=torch.channels_last), labels

    def step(self) -> Tensor:
        tally = Tally(list(self.pair.stitches), self.images.device.type)
        take_step(self.pair, self.optimiser, self.images, self.labels, tally)
        return torch.from_numpy(tally.means()[0])


def sgd(stitches: list[Stitch], fused: bool = False) -> torch.optim.SGD:
    parameters = [tensor for stitch in stitches for tensor in (stitch.weight, stitch.bias)]
    return torch.optim.SGD(parameters, lr=RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY, fused=fused)


if __name__ == "__main__":
    main()
