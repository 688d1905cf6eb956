"""What memory a job that trains a pair takes at the most, beside what it asks of a cluster.

    python benchmarks/memory.py --width 8 16 --rows 1 6

Each row is a process of its own that does what a stitching job does: it reads a data set of CIFAR-10's size, of random
images, freezes two random networks, trains the stitches of the receiver's layers from the last `--rows` layers of the
sender for a few steps, and evaluates them. What a job asks for (`asked_mb`) is `mem_mb` of these cells in a study of
these architectures. Numbers are in MiB; the last line is JSON.
"""

import argparse
import multiprocessing
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import yaml
from common import ROOT, add_architectures, begin, combinations, machine, parser, peak_memory, random_network, show
from overhead import write_noise

from modelstitch import hardware
from modelstitch.config.networks import default_name
from modelstitch.config.study import Study, load_study
from modelstitch.data import datasets
from modelstitch.data.images import EVALUATION_BATCH
from modelstitch.fitting.pair import train_pair
from modelstitch.networks.network import Image
from modelstitch.planning import requests
from modelstitch.planning.describe import describe_all
from modelstitch.planning.study import PlannedStudy

CONFIGS = {"fast": "cifar10-laptop", "paper": "paper"}  # studies whose stitches are trained by the protocol
STEPS = 3


def main() -> None:
    arguments = parse()
    device = begin(arguments)
    show(machine(device) | {"images": arguments.images}, rows=measure(arguments, device))


def measure(arguments: argparse.Namespace, device: str) -> list[dict[str, Any]]:
    """The rows of the table."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        dataset = Path(folder) / "dataset.h5"
        # As many images as CIFAR-10 has, and few of them to evaluate, which is done in batches.
        write_noise(dataset, arguments.images - EVALUATION_BATCH, EVALUATION_BATCH, arguments.image)
        for *models, width, count, protocol in combinations(arguments, arguments.rows, arguments.protocol):
            plan = planned(study_of(models, width, protocol, arguments, device), dataset)
            names = [f"{default_name(model)}_random_s0" for model in models]
            layers = [range(plan.layers(name)) for name in names]
            cells = layers[0][-count:], layers[1]
            # Spawned, and for a single row: a peak can't be set back.
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
                peak = process.submit(train, plan.study, models, arguments.image, dataset, cells[0]).result()
            asked = requests.pair_mb(plan, "task", *names, *cells)
            task = plan.study.stitches.task
            rows.append(
                {
                    "sender": models[0],
                    "receiver": models[1],
                    "width": width,
                    "protocol": protocol,
                    "batch": task.batch,
                    "precision": str(hardware.choose_precision(task.precision, device))[6:],
                    "cells": len(cells[0]) * len(cells[1]),
                    **peak,
                    "asked_mb": asked,
                    "share": round(peak["resident_mb"] / asked, 3),
                }
            )
    return rows


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    options = parser(__doc__)
    add_architectures(options)
    options.add_argument("--width", nargs="+", type=int, default=[8, 16], help="of a Small ResNet's first stage")
    options.add_argument("--rows", nargs="+", type=int, default=[1, 6], help="sender layers, from the last one back")
    options.add_argument("--protocol", nargs="+", choices=tuple(CONFIGS), default=["fast", "paper"])
    options.add_argument("--batch", type=int, help="images per step; the protocol's own by default, 64 and 256")
    options.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    options.add_argument("--images", type=int, default=60_000, help="of the data set (CIFAR-10: 60,000)")
    return options.parse_args(arguments)


def study_of(models: list[str], width: int | None, protocol: str, arguments: argparse.Namespace, device: str) -> Study:
    """A study of one pair, by a protocol for the task, of so few epochs that it takes `STEPS` steps."""
    values: dict[str, Any] = yaml.safe_load((ROOT / f"config/{CONFIGS[protocol]}.yaml").read_text())
    task = values["stitches"]["task"]
    task |= {"batch": arguments.batch or task["batch"], "precision": arguments.precision}
    task |= {"epochs": STEPS * task["batch"] / (arguments.images - EVALUATION_BATCH)}
    values["networks"] |= {"architectures": list(dict.fromkeys(models)), "width": width}
    values |= {"stitches": {"task": task}, "measures": {}}
    values["jobs"] |= {"device": device, "threads": arguments.threads or 1}
    return load_study(values, protocol)


def planned(study: Study, dataset: Path) -> PlannedStudy:
    """The study with its networks described for the images of a data set's file."""
    sizes = datasets.read_sizes(dataset)
    architectures = {one.name: study.networks.complete(one.name) for one in study.networks.architectures}
    return PlannedStudy(study, sizes, describe_all(architectures, sizes, dataset.parent / "descriptions", code=""))


def train(study: Study, models: list[str], image: Image, dataset: Path, sender_layers: Sequence[int]) -> dict[str, int]:
    """What this process held at the most after it did what a job does."""
    begin(argparse.Namespace(device=study.jobs.device, threads=study.jobs.threads))
    train_pair(
        *(random_network(model, study.networks.width, image, seed) for seed, model in enumerate(models)),
        datasets.read(dataset),
        study.stitches.task,
        study_seed=0,
        sender_layers=sender_layers,
        device=study.jobs.device,
    )
    return peak_memory(study.jobs.device)


if __name__ == "__main__":
    main()
