"""What the benchmarks share: a pair of networks on random images, its engine, a clock, and a table with its JSON.

A script imports this before the package, whose folder it puts on the path.
"""

import argparse
import itertools
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pandas as pd
import torch
from torch import Tensor

from modelstitch import hardware
from modelstitch.config.families import Linear
from modelstitch.config.networks import ALIASES, default_name
from modelstitch.engine.evaluation import Tally
from modelstitch.engine.pair import StitchedPair
from modelstitch.errors import ModelstitchError
from modelstitch.fitting.beginning import Stitches, moments_of, new_stitches
from modelstitch.fitting.muon import WhitenedMuon
from modelstitch.fitting.training import take_step
from modelstitch.fitting.work import PairWork
from modelstitch.networks.building import Blueprint, build, input_channels
from modelstitch.networks.description import Description
from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.networks.network import Image, Network
from modelstitch.networks.sources import source_of
from modelstitch.optimisers import SGD
from modelstitch.stitches.geometry import geometries

ROOT = Path(__file__).resolve().parents[1]
IMAGE, CLASSES = (3, 32, 32), 10  # CIFAR-10's
RATE, MOMENTUM, WEIGHT_DECAY = 0.01, 0.9, 0.01  # the paper's


class Combination(NamedTuple):
    """What one row of a table is measured for."""

    sender: str
    receiver: str
    width: int | None
    batch: int
    precision: str
    image: Image

    @property
    def dtype(self) -> torch.dtype:
        return getattr(torch, self.precision)

    def networks(self) -> list[Network]:
        """Sender and receiver, with random weights."""
        models = self.sender, self.receiver
        return [random_network(model, self.width, self.image, seed) for seed, model in enumerate(models)]


def parser(text: str) -> argparse.ArgumentParser:
    """Of a script with this docstring: where it runs, and on which images."""
    options = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    options.add_argument("--threads", type=int, help="torch's own number by default")
    options.add_argument("--image", type=image_shape, default=IMAGE, metavar="CxHxW", help="shape of an image: 3x32x32")
    return options


def add_architectures(options: argparse.ArgumentParser) -> None:
    options.add_argument(
        "--architectures",
        nargs=2,
        action="append",
        type=model_name,
        metavar=("SENDER", "RECEIVER"),
        help="R1122, torchvision:<name>, timm:<name> or <file>.py:<class>; R1112 twice by default; several times for "
        "several pairs",
    )


def model_name(text: str) -> str:
    """A model as a study names it."""
    name = ALIASES.get(text, text)
    try:
        source_of(name)
    except ModelstitchError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return name


def image_shape(text: str) -> Image:
    """The shape (C, H, W) that `3x32x32` means."""
    channels, height, width = map(int, text.split("x"))
    return channels, height, width


def begin(arguments: argparse.Namespace) -> str:
    """Set what a job sets, and give the device."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = hardware.choose_device(arguments.device)
    hardware.prepare(device)
    return device


def combinations(arguments: argparse.Namespace, *others: Sequence[Any]) -> Iterator[tuple]:
    """Sender, receiver, width and one of each of the others; the width is None where neither is a Small ResNet."""
    for models in arguments.architectures or [["R1112", "R1112"]]:
        widths = arguments.width if any(map(is_small_resnet, models)) else [None]
        for numbers in itertools.product(widths, *others):
            yield *models, *numbers


def measure_combinations(text: str, measure: Callable[[Combination, str, int], dict[str, Any]]) -> None:
    """The main of a script with this docstring that shows a row for every combination its user asks for.

    Args:
        text: the script's docstring.
        measure: a row, of the combination, the device, and how many steps are timed.
    """
    options = parser(text)
    add_architectures(options)
    options.add_argument("--width", nargs="+", type=int, default=[16], help="of a Small ResNet's first stage")
    options.add_argument("--batch", nargs="+", type=int, default=[256], help="images per step (256 in the paper)")
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
    every = combinations(arguments, arguments.batch, precisions, [arguments.image])
    rows = [measure(Combination(*each), device, arguments.repeats) for each in every]
    show(machine(device) | {"repeats": arguments.repeats}, rows=rows)


def random_batch(count: int, image: Image, device: str) -> tuple[Tensor, Tensor]:
    """Images (N, C, H, W), channels-last, and labels (N,)."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(count, *image, generator=generator)
    labels = torch.randint(CLASSES, (count,), generator=generator).to(device)
    return images.to(device, memory_format=torch.channels_last), labels


def random_network(model: str, width: int | None, image: Image, seed: int) -> Network:
    """A network of a model, which takes images of this size as they are.

    Args:
        model: its name, as in a study.
        width: channels of a Small ResNet's first stage; of no other model.
        image: shape (C, H, W) of the images at hand.
        seed: of its weights.
    """
    channels, *size = image
    arguments = {"width": width} if is_small_resnet(model) else {}
    module = build(Blueprint(model, CLASSES, channels, arguments), seed).eval()
    return Network(module, default_name(model), image=(input_channels(module, channels), *size))


def is_small_resnet(model: str) -> bool:
    return source_of(model)[0] == "small_resnet"


def freeze(networks: Sequence[Network], dtype: torch.dtype, device: str) -> list[FrozenNetwork]:
    return [FrozenNetwork(network, dtype, device) for network in networks]


def step_operations(networks: Sequence[Description], sender_layers: Sequence[int] | None = None) -> int:
    """Operations of a training step of the cells of an `Engine`, an image."""
    sender, receiver = networks
    rows = range(len(sender.layers)) if sender_layers is None else sender_layers
    work = PairWork(sender, receiver, "random", "random", rows, range(len(receiver.layers)))
    return work.passes_operations(passes=2)


def fresh_stitches(
    frozen: Sequence[FrozenNetwork], device: str, sender_layers: Sequence[int] | None = None
) -> Stitches:
    """Stitches of every receiver layer, the same for the same shapes; of every sender layer where none are named."""
    sender, receiver = frozen
    rows = range(len(sender.layers)) if sender_layers is None else sender_layers
    cells = geometries(sender.shapes, receiver.shapes, rows, range(len(receiver.layers)))
    return new_stitches(cells, Linear(name="linear"), (), device)


class Engine:
    """All stitches of a frozen sender and receiver together, or those of some sender layers, on one batch.

    Args:
        frozen: sender and receiver.
        images, labels: the batch, (N, C, H, W) and (N,).
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
            self.optimiser = WhitenedMuon(stitches, moments_of(*frozen, shapes, [images], torch.float32))
        else:
            parameters = [tensor for stitch in stitches.values() for tensor in stitch.parameters]
            self.optimiser = SGD(parameters, MOMENTUM, WEIGHT_DECAY)
        self.optimiser.rate = RATE
        self.images, self.labels = images, labels

    def step(self) -> Tensor:
        """Losses (cells,) of a step, which has then ended on the device too."""
        return self.losses().cpu()

    def losses(self) -> Tensor:
        """As `step`, on the device, which may still be at work."""
        tally = Tally(list(self.pair.stitches), self.images.device.type)
        take_step(self.pair, self.optimiser, self.images, self.labels, tally)
        return tally.loss / len(self.images)


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
