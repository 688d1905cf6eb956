"""Files of a study, written by hand: records of pairs, and what is known of networks."""

import json
import tempfile
from pathlib import Path

import numpy as np

from modelstitch.analysis import gathering
from tests.records import made


def write_record(
    folder, sender, receiver, diverged=(), accuracies=(0.1, 0.2, 0.4), layers=(0, 1), receiver_accuracy=0.8, **about
):
    """The record of a pair: sender layers 0, 1 and 2, with the same accuracies in every column."""
    columns = []
    for receiver_layer in layers:
        failed = np.array([(layer, receiver_layer) in diverged for layer in range(3)])
        accuracy = np.where(failed, np.nan, accuracies)
        columns.append(
            made.column(
                receiver_layer,
                accuracy,
                test_loss=accuracy * 2,
                train_accuracy=np.stack([accuracy / 2, accuracy], axis=1),
                train_loss=np.stack([accuracy / 4, accuracy / 8], axis=1),
            )
        )
    about = {
        "objective": "task",
        "sender_accuracy": 0.9,
        "receiver_accuracy": receiver_accuracy,
        "seconds": 1.0,
    } | about
    return made.write(folder, made.record(columns, sender, receiver, **about))


def gathered(paths, evidence):
    """What is gathered of records, in a folder beside the first of them."""
    folder = Path(tempfile.mkdtemp(prefix="outcomes", dir=paths[0].parent))
    gathering.gather(paths, evidence, folder)
    return folder


def cells(paths, evidence):
    """The cells table of a whole study, from its records."""
    ((sender, table),) = gathering.cells(gathered(paths, evidence))
    assert sender == ""
    return table


def write_network(folder, network, **changes):
    """What is known of a network, as a study keeps it."""
    architecture, recipe, seed = network.split("_")
    about = {
        "network": network,
        "architecture": architecture,
        "recipe": recipe,
        "seed": int(seed[1:]),
        "model": architecture,
        "arguments": '{"width": 8}',
        "width": 8,
        "layers": ["layers.0", "layers.1"],
        "operations": [1_000, 2_000, 10],
        "parameters": 44_000,
        "accuracy": 0.95,
        "loss": 0.2,
        "train_accuracy": 0.99,
        "changes": "{}",
        "accuracy_changed": None,
        "test_images": 360,
        "classes": 10,
        "dataset": "digits",
        "seconds": 12.3,
        "curves": {"epoch": [1, 2]},
    } | changes
    path = folder / f"{network}.json"
    path.write_text(json.dumps(about))
    return path
