"""How near each protocol comes to the converged matrix, and after how many images.

    python benchmarks/protocols.py --results results/cifar10-laptop --pair R1112_trained_s0 R1122_trained_s0

Converged is what two starts agree on: least squares and random, both trained by the fast protocol for
`--reference-epochs`, or those of records that are there, as a study's `measures.training_budget` makes them. The
reference is the largest in each cell, since every one errs on the low side. The networks, the images and their
augmentation are a finished study's. One line per protocol as soon as it is done; the last line is JSON.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from studied import StudiedPair, difference, parser, task_of

from modelstitch import records
from modelstitch.analysis.depth import relative_depth
from modelstitch.config.section import Augmentation
from modelstitch.config.stitches import STARTS, FastStitches, PaperStitches

COMMON = {"precision": "auto", "sender_layers": "all", "receiver_layers": "all", "keep_stitches": False}


def main() -> None:
    arguments = parse()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    pair = StudiedPair(arguments)
    augmentation = task_of(arguments.results).augmentation
    epochs = arguments.reference_epochs
    long = fast(epochs, 64, 0.1, augmentation)
    converged = [recorded(pair, path) for path in arguments.reference] or [
        (start, epochs, *pair.trained(long.model_copy(update={"start": start}), seed))
        for seed, start in enumerate(arguments.reference_starts, start=1)
    ]
    reference = np.fmax.reduce([accuracies for _, _, accuracies, _ in converged])
    rows = [
        compare(pair, f"converged, {start}", epochs, seconds, accuracies, reference)
        for start, epochs, accuracies, seconds in converged
    ]
    for text in arguments.protocols:
        name, *numbers = text.split(":")
        epochs, batch, rate = (float(number) for number in numbers)
        settings = (fast if name == "fast" else paper)(epochs, int(batch), rate, augmentation)
        accuracies, seconds = pair.trained(settings)
        rows.append(compare(pair, text, epochs, seconds, accuracies, reference))
    print(pd.DataFrame(rows).to_string(index=False))
    print(
        json.dumps({"pair": arguments.pair, "precision": pair.precision, "reference": reference.tolist(), "rows": rows})
    )


def parse() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--reference-epochs", type=float, default=4)
    options.add_argument("--reference-starts", nargs="+", choices=STARTS, default=STARTS, help="both by default")
    options.add_argument("--reference", nargs="*", type=Path, default=[], help="records of the pair, none is trained")
    options.add_argument(
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
    options.add_argument("--threads", type=int)
    return options.parse_args()


def fast(epochs: float, batch: int, rate: float, augmentation: Augmentation) -> FastStitches:
    numbers = {"epochs": epochs, "batch": batch, "learning_rate": rate, "statistics_images": 4000}
    return FastStitches(protocol="fast", augmentation=augmentation, **numbers, **COMMON)


def paper(epochs: float, batch: int, rate: float, augmentation: Augmentation) -> PaperStitches:
    numbers = {"epochs": epochs, "batch": batch, "learning_rate": rate, "momentum": 0.9, "weight_decay": 0.01}
    warmup = epochs / 8
    return PaperStitches(protocol="paper", augmentation=augmentation, warmup_epochs=warmup, **numbers, **COMMON)


def recorded(pair: StudiedPair, path: Path) -> tuple[str, float, np.ndarray, float]:
    """Of a record: start, epochs, test accuracies (cells,), and processor seconds, evaluation included."""
    record = records.read(path)
    found = {
        (i, column.receiver_layer): accuracy
        for column in record.columns
        for i, accuracy in zip(column.sender_layers, column.test_accuracy, strict=True)
    }
    about = record.attributes
    accuracies = np.array([found[cell] for cell in pair.cells])
    settings = about["settings"]
    return settings["start"], settings["epochs"], accuracies, about["processor_seconds"]


def compare(
    pair: StudiedPair, name: str, epochs: float, seconds: float, accuracies: np.ndarray, reference: np.ndarray
) -> dict:
    """Differences to the reference matrix, over cells."""
    apart = difference(accuracies, reference)
    row = {
        "protocol": name,
        "images": int(epochs * len(pair.train)),
        "seconds": round(seconds, 1),
        "mean_difference": apart.mean,
        "largest": apart.largest,
        "bias": apart.bias,
        "spearman": round(float(pd.Series(accuracies).corr(pd.Series(reference), method="spearman")), 4),
        "triangle": round(triangle(pair, accuracies), 4),
    }
    print(row, flush=True)
    return row


def triangle(pair: StudiedPair, accuracies: np.ndarray) -> float:
    """Mean at or below the proportional diagonal less the mean above it."""
    below = np.array([relative_depth(i, pair.depths[0]) >= relative_depth(j, pair.depths[1]) for i, j in pair.cells])
    return float(accuracies[below].mean() - accuracies[~below].mean())


if __name__ == "__main__":
    main()
