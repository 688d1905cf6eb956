"""What memory a job that trains a pair takes at the most, beside what it asks of a cluster.

    python benchmarks/memory.py --width 8 16 --rows 1 6

Each row is a process of its own that does what a stitching job does: it reads a data set of CIFAR-10's size, of random
images, freezes two random networks, trains the stitches of the receiver's layers from the last `--rows` layers of the
sender for a few steps, and evaluates them. What a job asks for (`asked_mb`) is `mem_mb` of all cells of a pair in a
study of these architectures. Numbers are in MiB; the last line is JSON.
"""

import argparse
import itertools
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import yaml
from common import (
    ROOT,
    add_architectures,
    architecture_pairs,
    begin,
    machine,
    parser,
    peak_memory,
    random_network,
    show,
)
from overhead import write_noise

from modelstitch import hardware
from modelstitch.config import Study, load_study
from modelstitch.data import datasets
from modelstitch.data.images import EVALUATION_BATCH
from modelstitch.fitting import pairs
from modelstitch.networks.architectures import count_layers
from modelstitch.planning.costs import Costs

CONFIGS = {"fast": "cifar10-laptop", "paper": "paper"}  # studies whose stitches are trained by the protocol
STEPS = 3


def main() -> None:
    arguments = parse()
    device = begin(arguments)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        dataset = Path(folder) / "dataset.h5"
        # As many images as CIFAR-10 has, and few of them to evaluate, which is done in batches.
        write_noise(dataset, arguments.images - EVALUATION_BATCH, EVALUATION_BATCH)
        for architectures, width, count, protocol in itertools.product(
            architecture_pairs(arguments), arguments.width, arguments.rows, arguments.protocol
        ):
            study = study_of(architectures, width, protocol, arguments, device)
            layers = count_layers(architectures[0])
            # Spawned, and for a single row: a peak can't be set back.
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
                peak = process.submit(train, study, architectures, dataset, layers - min(count, layers)).result()
            asked = Costs(study).pair_mb(f"{architectures[0]}_random_s0")
            rows.append(
                {
                    "sender": architectures[0],
                    "receiver": architectures[1],
                    "width": width,
                    "protocol": protocol,
                    "batch": study.stitches.task.batch,
                    "precision": str(hardware.choose_precision(study.stitches.task.precision, device))[6:],
                    "cells": min(count, layers) * count_layers(architectures[1]),
                    **peak,
                    "asked_mb": asked,
                    "share": round(peak["resident_mb"] / asked, 3),
                }
            )
    show(machine(device) | {"images": arguments.images}, rows=rows)


def parse() -> argparse.Namespace:
    options = parser(__doc__)
    add_architectures(options)
    options.add_argument("--width", nargs="+", type=int, default=[8, 16], help="channels of the first stage")
    options.add_argument("--rows", nargs="+", type=int, default=[1, 6], help="sender layers, from the last one back")
    options.add_argument("--protocol", nargs="+", choices=tuple(CONFIGS), default=["fast", "paper"])
    options.add_argument("--batch", type=int, help="images a step; the protocol's own by default, 64 and 256")
    options.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    options.add_argument("--images", type=int, default=60_000, help="of the data set (CIFAR-10: 60,000)")
    return options.parse_args()


def study_of(architectures: list[str], width: int, protocol: str, arguments: argparse.Namespace, device: str) -> Study:
    """A study of one pair, by a protocol for the task, of so few epochs that it takes `STEPS` steps."""
    values: dict[str, Any] = yaml.safe_load((ROOT / f"config/{CONFIGS[protocol]}.yaml").read_text())
    task = values["stitches"]["task"]
    task |= {"batch": arguments.batch or task["batch"], "precision": arguments.precision}
    task |= {"epochs": STEPS * task["batch"] / (arguments.images - EVALUATION_BATCH)}
    values["networks"] |= {"architectures": list(dict.fromkeys(architectures)), "width": width}
    values |= {"stitches": {"task": task}, "measures": {}}
    values["jobs"] |= {"device": device, "threads": arguments.threads or 1}
    return load_study(values, protocol)


def train(study: Study, architectures: list[str], dataset: Path, first_row: int) -> dict[str, int]:
    """What this process held at the most after it did what a job does, from the sender's layer `first_row` on."""
    begin(argparse.Namespace(device=study.jobs.device, threads=study.jobs.threads))
    networks = [random_network(name, study.networks.width, seed) for seed, name in enumerate(architectures)]
    for network in networks:
        network.about = {"network": network.architecture, "accuracy": 0.0}
    pairs.train_pair(
        *networks,
        datasets.read(dataset),
        study.stitches.task,
        study_seed=0,
        sender_layers=range(first_row, count_layers(architectures[0])),
        receiver_layers=range(count_layers(architectures[1])),
        device=study.jobs.device,
    )
    return peak_memory(study.jobs.device)


if __name__ == "__main__":
    main()
