"""How long a study of many pairs takes beside its stitches: planning it, planning it again, and gathering its tables.

    python benchmarks/gathering.py --pairs 1024

Makes a study in a folder of its own, deleted again: so many ordered pairs of trained Small ResNets on CIFAR-10, their
records written as a job writes them, with random outcomes. Of each step processor seconds, seconds, and the memory of
the largest process. A record of 10,000 images takes 1 MB and 30 ms to write. The last line is JSON.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import yaml

from modelstitch import records
from modelstitch.config.stitches import objective_settings
from modelstitch.data import datasets
from modelstitch.data.datasets import Split
from modelstitch.identifiers import NetworkId
from modelstitch.records import Column, Layers, PairRecord
from tests.checkout import copy_checkout

ARCHITECTURES = [f"R{a}{b}{c}{d}" for a in (1, 2) for b in (1, 2) for c in (1, 2) for d in (1, 2)]
CHANNELS, SIDES = (8, 16, 32, 64), (32, 16, 8, 4)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--pairs", type=int, default=1024, help="about so many: a square of whole seeds")
    options.add_argument("--images", type=int, default=10_000, help="of the test set")
    options.add_argument("--cores", type=int, default=os.cpu_count())
    options.add_argument("--until", nargs="*", default=["all"], help="rules that are run; none: planning only")
    options.add_argument("--folder", type=Path, help="of the study, which is kept; what is there is not made again")
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        print(json.dumps(measure(arguments.folder or Path(name), arguments)))


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, object]:
    """Every step of the benchmark: processor seconds, seconds, and MB of the largest process."""
    seeds = max(1, round(math.sqrt(arguments.pairs) / len(ARCHITECTURES)))
    few = min(len(ARCHITECTURES), max(1, round(math.sqrt(arguments.pairs) / seeds)))
    study = study_of(folder, ARCHITECTURES[:few], seeds)
    result: dict[str, object] = {"pairs": (few * seeds) ** 2}
    networks = [
        NetworkId(architecture, "trained", seed) for architecture in ARCHITECTURES[:few] for seed in range(seeds)
    ]
    result["plan"] = timed(folder, "-n", "--quiet", "rules")
    settings = {**study["stitches"]["task"], "keep_stitches": False}
    write_results(
        folder / "results" / study["study"], networks, arguments.images, objective_settings("task", settings).plain()
    )
    # What is there is as if the study had made it.
    result["touch"] = timed(
        folder, "--touch", "--forceall", "--until", "stitch_pair", "describe_network", "--quiet", "all"
    )
    for rule in arguments.until:
        result[rule] = timed(folder, "--until", rule, "--cores", str(arguments.cores), "--quiet", "all")
    result["plan_again"] = timed(folder, "-n", "--quiet", "rules")
    return result


def study_of(folder: Path, architectures: list[str], seeds: int) -> dict:
    """A checkout, and in it the study that the benchmark plans."""
    if not (folder / "Snakefile").exists():
        folder.mkdir(parents=True, exist_ok=True)
        copy_checkout(folder)
        (folder / "data").mkdir(exist_ok=True)
        (folder / "data/cifar-10-python.tar.gz").touch()
    study = yaml.safe_load((folder / "config/cifar10-laptop.yaml").read_text())
    study["study"] = "many"
    study["networks"] |= {"architectures": architectures, "seeds": list(range(seeds))}
    study["pairs"] = [{"sender": "trained", "receiver": "trained"}]
    study["stitches"] = {"task": study["stitches"]["task"]}
    study["measures"] = {}
    (folder / "many.yaml").write_text(yaml.safe_dump(study))
    return study


def timed(folder: Path, *arguments: str) -> dict[str, float]:
    """What a command of Snakemake takes."""
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--configfile", "many.yaml", *arguments]
    before, start = os.times(), time.perf_counter()
    with open(folder / "output.txt", "w") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit((folder / "output.txt").read_text()[-5000:])
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    seconds = {"processor_seconds": spent, "seconds": time.perf_counter() - start, "mb": usage.ru_maxrss / 1024}
    return {name: round(value, 1) for name, value in seconds.items()}


def write_results(results: Path, networks: list[NetworkId], images: int, settings: dict[str, object]) -> None:
    """Data set, networks and records, where they are missing."""
    random = np.random.default_rng(0)
    labels = random.integers(10, size=images)
    data = results / "data/dataset.h5"
    if not data.exists():
        train = Split(random.integers(256, size=(10, 3, 32, 32), dtype=np.uint8), np.arange(10))
        test = Split(np.zeros((images, 3, 32, 32), np.uint8), labels)
        datasets.write(data, "cifar10", train, test, tuple("0123456789"))
    digest = datasets.read(data).digest
    for network in networks:
        write_network(results / "networks" / f"{network}.json", network)
    for sender in networks:
        for receiver in networks:
            path = results / f"stitches/task/{sender}/{receiver}.h5"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                record = record_of(sender, receiver, labels, digest, random)
                record.attributes["settings"] = settings
                records.write(path, record)


def write_network(path: Path, network: NetworkId) -> None:
    about = dict.fromkeys(("parameters", "loss", "test_images"), 0)
    about |= {"network": str(network), "architecture": network.architecture, "recipe": network.recipe}
    about |= {"seed": network.seed, "model": network.architecture, "arguments": "{}", "width": 8, "accuracy": 0.8}
    about |= {"train_accuracy": 0.8, "changes": "{}", "accuracy_changed": None, "classes": 10, "dataset": "cifar10"}
    about["weights"] = "x"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(about))
    path.with_suffix(".safetensors").touch()


def layers_of(network: NetworkId) -> Layers:
    """As a Small ResNet has them: the stem, then its blocks."""
    stages = [0, *(stage for stage, count in enumerate(network.architecture[1:]) for _ in range(int(count)))]
    shapes = np.array([(CHANNELS[stage], SIDES[stage], SIDES[stage], 0) for stage in stages])
    names = tuple(f"layers.{place}" for place in range(len(stages)))
    operations = np.arange(1, len(stages) + 1) * 1000
    return Layers(names, ("map",) * len(stages), shapes, operations, 1000 * len(stages) + 10)


def record_of(
    sender: NetworkId, receiver: NetworkId, labels: np.ndarray, digest: str, random: np.random.Generator
) -> PairRecord:
    """A pair of which each cell gets some images right: a later sender layer more, a later receiver layer fewer."""
    rows, columns = layers_of(sender), layers_of(receiver)
    hard, wrong = random.random(len(labels)), ((labels + 1) % 10).astype(np.uint8)
    found = []
    for j in range(len(columns)):
        shares = np.clip(0.7 + 0.08 * np.minimum(np.arange(len(rows)) - j, 0), 0.1, 1)
        noise = 0.1 * random.random((len(rows), len(labels)), np.float32)
        predictions = np.where(hard + noise < shares[:, None], labels, wrong).astype(np.uint8)
        accuracy = (predictions == labels).mean(axis=1)
        found.append(
            Column(
                receiver_layer=j,
                sender_layers=tuple(range(len(rows))),
                test_images=len(labels),
                test_accuracy=accuracy,
                test_loss=1 - accuracy,
                agreement=accuracy,
                train_accuracy=np.stack([accuracy, accuracy], axis=1),
                train_loss=np.stack([2 - accuracy, 1 - accuracy], axis=1),
                predictions=predictions,
                diverged=np.zeros(len(rows), bool),
                reason=("",) * len(rows),
            )
        )
    about = dict.fromkeys(records.IDENTITY, "x") | {"study": "many", "objective": "task", "seed": 0}
    about |= {"sender": str(sender), "receiver": str(receiver), "dataset": "cifar10", "dataset_digest": digest}
    about |= {"sender_accuracy": 0.8, "receiver_accuracy": 0.8, "settings": {}, "versions": {}}
    about |= {"precision": "float32", "seconds": 1.0, "processor_seconds": 1.0}
    return PairRecord(about, rows, columns, tuple(found))


if __name__ == "__main__":
    main()
