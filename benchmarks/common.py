"""What the benchmarks share: a pair of networks on random images, its engine, a clock, and a table with its JSON.

A script imports this before the package, whose folder it puts on the path.
"""

import argparse
import itertools
import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pandas as pd
import torch
from torch import Tensor

from modelstitch import hardware
from modelstitch.engine.frozen import FrozenNetwork
from modelstitch.engine.stitching import StitchedPair, Tally, take_step
from modelstitch.errors import ModelstitchError
from modelstitch.fitting.muon import WhitenedMuon
from modelstitch.fitting.optimisers import SGD
from modelstitch.networks.architectures import block_counts, canonical
from modelstitch.networks.small_resnet import SmallResNet, build
from modelstitch.seeds import seed_of
from modelstitch.stitches.linear import Cell, Stitch, geometries, initialise, parameters
from modelstitch.stitches.normal_equations import accumulate

ROOT = Path(__file__).resolve().parents[1]
IMAGE, CLASSES = (3, 32, 32), 10  # CIFAR-10's
RATE, MOMENTUM, WEIGHT_DECAY = 0.01, 0.9, 0.01  # the paper's


class Combination(NamedTuple):
    """What one row of a table is measured for."""

    sender: str
    receiver: str
    width: int
    batch: int
    precision: str

    @property
    def dtype(self) -> torch.dtype:
        return getattr(torch, self.precision)


def parser(text: str) -> argparse.ArgumentParser:
    """Of a script with this docstring: where it runs."""
    options = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    options.add_argument("--threads", type=int, help="torch's own number by default")
    return options


def add_architectures(options: argparse.ArgumentParser) -> None:
    options.add_argument(
        "--architectures",
        nargs=2,
        action="append",
        type=architecture,
        metavar=("SENDER", "RECEIVER"),
        help="R1112 twice by default; several times for several pairs",
    )


def architecture(text: str) -> str:
    name = canonical(text)
    try:
        block_counts(name)
    except ModelstitchError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return name


def begin(arguments: argparse.Namespace) -> str:
    """Set what a job sets, and give the device."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = hardware.choose_device(arguments.device)
    hardware.prepare(device)
    return device


def architecture_pairs(arguments: argparse.Namespace) -> list[list[str]]:
    """Sender and receiver, once or several times, as `add_architectures` was given them."""
    return arguments.architectures or [["R1112", "R1112"]]


def measure_combinations(text: str, measure: Callable[[Combination, str, int], dict[str, Any]]) -> None:
    """The main of a script with this docstring that shows a row for every combination its user asks for.

    Args:
        text: the script's docstring.
        measure: a row, of the combination, the device, and how many steps are timed.
    """
    options = parser(text)
    add_architectures(options)
    options.add_argument("--width", nargs="+", type=int, default=[16], help="channels of the first stage")
    options.add_argument("--batch", nargs="+", type=int, default=[256], help="images a step (256 in the paper)")
    options.add_argument(
        "--precision", nargs="+", choices=("float32", "bfloat16"), default=["float32"], help="of the engine"
    )
    options.add_argument("--repeats", type=int, default=5, help="steps that are timed, after a first one that is not")
    arguments = options.parse_args()
    device = begin(arguments)
    precisions = arguments.precision
    if "bfloat16" in precisions and not hardware.has_bfloat16(device):
        print("bfloat16 is left out: this processor has no instructions for it and is several times slower in it")
        precisions = [precision for precision in precisions if precision != "bfloat16"]
    every = itertools.product(architecture_pairs(arguments), arguments.width, arguments.batch, precisions)
    rows = [measure(Combination(*names, *numbers), device, arguments.repeats) for names, *numbers in every]
    show(machine(device) | {"repeats": arguments.repeats}, rows=rows)


def random_batch(count: int, device: str, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Images (N, C, H, W), channels-last, and labels (N,)."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(count, *IMAGE, generator=generator)
    labels = torch.randint(CLASSES, (count,), generator=generator).to(device)
    return images.to(device, dtype, memory_format=torch.channels_last), labels


def random_network(architecture: str, width: int, seed: int) -> SmallResNet:
    return build(architecture, width, IMAGE[0], CLASSES, seed).eval().requires_grad_(False)


def freeze(networks: Sequence[SmallResNet], dtype: torch.dtype, device: str) -> list[FrozenNetwork]:
    return [FrozenNetwork(network, dtype, device) for network in networks]


def fresh_stitches(
    frozen: Sequence[FrozenNetwork], device: str, sender_layers: Sequence[int] | None = None
) -> dict[Cell, Stitch]:
    """Stitches of every receiver layer, the same for the same shapes; of every sender layer where none are named."""
    sender, receiver = frozen
    rows = range(len(sender.layers)) if sender_layers is None else sender_layers
    cells = geometries(sender.shapes(IMAGE), receiver.shapes(IMAGE), rows, range(len(receiver.layers)))
    return {cell: initialise(geometry, seed_of(*cell), device) for cell, geometry in cells.items()}


class Engine:
    """All stitches of a frozen sender and receiver together, or those of some sender layers, on one batch.

    Args:
        frozen: sender and receiver.
        images, labels: the batch, (N, C, H, W) in the networks' precision and (N,).
        sender_layers: all by default.
        muon: moves them as the protocol `fast` does, not by SGD.
    """

    def __init__(
        self,
        frozen: Sequence[FrozenNetwork],
        images: Tensor,
        labels: Tensor,
        sender_layers: Sequence[int] | None = None,
        muon: bool = False,
    ) -> None:
        stitches = fresh_stitches(frozen, images.device.type, sender_layers)
        self.pair = StitchedPair(*frozen, stitches)
        if muon:
            shapes = {cell: stitch.geometry for cell, stitch in stitches.items()}
            self.optimiser = WhitenedMuon(stitches, accumulate(*frozen, shapes, [images], torch.float32))
        else:
            self.optimiser = SGD(parameters(stitches.values()), MOMENTUM, WEIGHT_DECAY)
        self.optimiser.rate = RATE
        self.images, self.labels = images, labels

    def step(self) -> Tensor:
        """Losses (cells,) of a step, which has then ended on the device too."""
        tally = Tally(list(self.pair.stitches), self.images.device.type)
        take_step(self.pair, self.optimiser, self.images, self.labels, tally)
        return torch.from_numpy(tally.means()[0])


def timed(call: Callable[[], Any], device: str) -> tuple[float, Any]:
    """Seconds of a call, and what it returns."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    result = call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start, result


def peak_memory(device: str) -> dict[str, int]:
    """What this process held at the most so far, in MiB: resident, and of the GPU's memory."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    memory = {"resident_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit}
    return memory | ({"gpu_mb": torch.cuda.max_memory_allocated() // 2**20} if device == "cuda" else {})


def show(about: dict[str, Any], **tables: list[dict[str, Any]]) -> None:
    """Print the tables, and as the last line them and what is said about them as JSON."""
    for rows in tables.values():
        print(pd.DataFrame(rows).to_string(index=False), end="\n\n")
    print(json.dumps(about | tables))


def machine(device: str) -> dict[str, Any]:
    return {"device": hardware.device_name(device), "threads": torch.get_num_threads(), "torch": torch.__version__}


def significant(value: float) -> float:
    """Four digits of it."""
    return float(f"{value:.4g}")
