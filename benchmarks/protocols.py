"""How near each protocol comes to the converged matrix, and after how many images.

    python benchmarks/protocols.py --results results/cifar10-laptop --pair R1112_trained_s0 R1122_trained_s0

Converged is what two starts agree on: least squares and random, both trained by the fast protocol for
`--reference-epochs`, or those of records that are there, as a study's `measures.training_budget` makes them. The
reference is the largest in each cell, since every one errs on the low side. The networks and images are a finished
study's. One line per protocol as soon as it is done; the last line is JSON.
"""

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pandas as pd
import torch

from modelstitch import hardware, records
from modelstitch.accuracy import accuracy
from modelstitch.analysis.depth import relative_depth
from modelstitch.config.section import Augmentation
from modelstitch.config.stitches import STARTS, FastStitches, PaperStitches, TrainedStitches
from modelstitch.data import datasets
from modelstitch.data.images import DeviceImages
from modelstitch.engine.evaluation import predict
from modelstitch.engine.pair import StitchedPair, Stitches
from modelstitch.fitting.inputs import FitInputs
from modelstitch.fitting.objectives import task
from modelstitch.networks.frozen import freeze
from modelstitch.networks.network import Network
from modelstitch.stitches.geometry import geometries

COMMON = {
    "augmentation": Augmentation(flip=True, shift=2, cutout=4),
    "precision": "auto",
    "sender_layers": "all",
    "receiver_layers": "all",
    "keep_stitches": False,
}


def main() -> None:
    arguments = parse()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    pair = Pair(arguments)
    epochs = arguments.reference_epochs
    converged = [pair.recorded(path) for path in arguments.reference] or [
        (start, epochs, *pair.trained(fast(epochs, 64, 0.1).model_copy(update={"start": start}), seed))
        for seed, start in enumerate(arguments.reference_starts, start=1)
    ]
    reference = np.fmax.reduce([accuracies for _, _, accuracies, _ in converged])
    rows = [
        pair.compare(f"converged, {start}", epochs, seconds, accuracies, reference)
        for start, epochs, accuracies, seconds in converged
    ]
    for text in arguments.protocols:
        name, *numbers = text.split(":")
        epochs, batch, rate = (float(number) for number in numbers)
        settings = (fast if name == "fast" else paper)(epochs, int(batch), rate)
        accuracies, seconds = pair.trained(settings)
        rows.append(pair.compare(text, epochs, seconds, accuracies, reference))
    print(pd.DataFrame(rows).to_string(index=False))
    print(
        json.dumps({"pair": arguments.pair, "precision": pair.precision, "reference": reference.tolist(), "rows": rows})
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="results folder of a study that was run")
    parser.add_argument("--pair", nargs=2, required=True, metavar=("SENDER", "RECEIVER"), help="two of its networks")
    parser.add_argument("--sender-layers", nargs="*", type=int, help="rows; all by default")
    parser.add_argument("--receiver-layers", nargs="*", type=int, help="columns; all by default")
    parser.add_argument("--reference-epochs", type=float, default=4)
    parser.add_argument("--reference-starts", nargs="+", choices=STARTS, default=STARTS, help="both by default")
    parser.add_argument("--reference", nargs="*", type=Path, default=[], help="records of the pair: nothing is trained")
    parser.add_argument(
        "--protocols",
        nargs="*",
        default=[
            "fast:0.25:64:0.1",
            "fast:0.5:64:0.1",
            "fast:0.5:32:0.1",
            "paper:0.5:256:0.01",
            "paper:4:256:0.01",
        ],
        help="NAME:EPOCHS:BATCH:RATE",
    )
    parser.add_argument("--threads", type=int)
    return parser.parse_args()


def fast(epochs: float, batch: int, rate: float) -> FastStitches:
    numbers = {"epochs": epochs, "batch": batch, "learning_rate": rate, "statistics_images": 4000}
    return FastStitches(protocol="fast", **numbers, **COMMON)


def paper(epochs: float, batch: int, rate: float) -> PaperStitches:
    numbers = {"epochs": epochs, "batch": batch, "learning_rate": rate, "momentum": 0.9, "weight_decay": 0.01}
    return PaperStitches(protocol="paper", **numbers, warmup_epochs=epochs / 8, **COMMON)


class Pair:
    """Two networks of a study and the cells that are compared."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        dataset = datasets.read(arguments.results / "data/dataset.h5")
        device = hardware.choose_device("auto")
        self.train, self.test = (DeviceImages(dataset, split, device) for split in (dataset.train, dataset.test))
        files = [arguments.results / f"networks/{network}.safetensors" for network in arguments.pair]
        self.sender, self.receiver = (freeze(Network.load(file), "auto", device) for file in files)
        self.precision = str(self.sender.dtype).removeprefix("torch.")
        self.depths = [len(network.layers) for network in (self.sender, self.receiver)]
        self.geometries = geometries(
            self.sender.shapes,
            self.receiver.shapes,
            arguments.sender_layers or range(self.depths[0]),
            arguments.receiver_layers or range(self.depths[1]),
        )
        self.cells = list(self.geometries)

    def trained(self, settings: TrainedStitches, seed: int = 0) -> tuple[np.ndarray, float]:
        """Test accuracy of every cell (cells,), and the seconds of processor time that training took."""
        began = time.process_time()
        label = f"{settings.protocol} {settings.epochs:g}"
        seeds = ("benchmark", seed)
        fit = task.fit(FitInputs(self.sender, self.receiver, self.geometries, self.train, settings, seeds, label))
        seconds = time.process_time() - began
        return self.accuracies(fit.stitches), seconds

    def accuracies(self, stitches: Stitches) -> np.ndarray:
        """Test accuracy of every cell, (cells,)."""
        predictions = predict(StitchedPair(self.sender, self.receiver, stitches), self.test)
        return accuracy(predictions.classes, self.test.labels.cpu().numpy())

    def recorded(self, path: Path) -> tuple[str, float, np.ndarray, float]:
        """Of a record: start, epochs, test accuracies (cells,), and processor seconds, evaluation included."""
        record = records.read(path)
        found = {
            (i, column.receiver_layer): accuracy
            for column in record.columns
            for i, accuracy in zip(column.sender_layers, column.test_accuracy, strict=True)
        }
        about = record.attributes
        accuracies = np.array([found[cell] for cell in self.cells])
        settings = about["settings"]
        return settings["start"], settings["epochs"], accuracies, about["processor_seconds"]

    def compare(self, name: str, epochs: float, seconds: float, accuracies: np.ndarray, reference: np.ndarray) -> dict:
        """Differences to the reference matrix, over cells."""
        differences = accuracies - reference
        row = {
            "protocol": name,
            "images": int(epochs * len(self.train)),
            "seconds": round(seconds, 1),
            "mean_difference": round(float(np.abs(differences).mean()), 4),
            "largest": round(float(np.abs(differences).max()), 4),
            "bias": round(float(differences.mean()), 4),
            "spearman": round(float(pd.Series(accuracies).corr(pd.Series(reference), method="spearman")), 4),
            "triangle": round(self.triangle(accuracies), 4),
        }
        print(row, flush=True)
        return row

    def triangle(self, accuracies: np.ndarray) -> float:
        """Mean at or below the proportional diagonal less the mean above it."""
        below = np.array(
            [relative_depth(i, self.depths[0]) >= relative_depth(j, self.depths[1]) for i, j in self.cells]
        )
        return float(accuracies[below].mean() - accuracies[~below].mean())


if __name__ == "__main__":
    main()
