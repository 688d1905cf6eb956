"""Records made by hand, so that every number in them is known."""

import numpy as np

from modelstitch import records
from modelstitch.analysis.evidence import Evidence
from modelstitch.records import Column, Layers, PairRecord

# Of the test images of records that are made by hand: the first images are those that a cell gets right.
LABELS = np.zeros(1000, np.int64)
DIGEST = "0123abcd"
EVIDENCE = Evidence(LABELS, tuple("0123456789"), DIGEST, "made", 0)


def layers(count):
    """Maps of 4 channels, 8 x 8, after pieces of 100 operations each, as is the head."""
    return Layers(
        names=tuple(f"layers.{index}" for index in range(count)),
        layouts=("map",) * count,
        shapes=np.tile([4, 8, 8, 0], (count, 1)),
        operations=100 * np.arange(1, count + 1),
        total_operations=100 * (count + 1),
    )


def layers_of(network):
    """As many layers as a Small ResNet has, by its id; any other has five."""
    digits = network[1:5]
    return layers(1 + sum(map(int, digits)) if digits.isdigit() else 5)


def column(receiver_layer, accuracies, **changes):
    """A column of these test accuracies, of sender layers 0, 1, ...; NaN is a cell that diverged."""
    accuracies = np.array(accuracies, float)
    cells, failed = len(accuracies), np.isnan(accuracies)
    right = np.round(np.nan_to_num(accuracies) * len(LABELS))
    fields = {
        "sender_layers": tuple(range(cells)),
        "test_accuracy": accuracies,
        "test_loss": np.zeros(cells),
        "agreement": accuracies / 2,
        "train_accuracy": np.zeros((cells, 1)),
        "train_loss": np.zeros((cells, 1)),
        "predictions": (np.arange(len(LABELS)) >= right[:, None]).astype(np.uint8),
        "diverged": failed,
        "reason": tuple("loss not finite" if bad else "" for bad in failed),
    } | changes
    return Column(receiver_layer=receiver_layer, test_images=fields["predictions"].shape[1], **fields)


def record(columns, sender, receiver, layers=None, **attributes):
    """The record of a pair, by default of Small ResNets: of nothing but its names and what is given."""
    about = dict.fromkeys(records.IDENTITY, "x") | {"sender": sender, "receiver": receiver, "objective": "task"}
    about |= {
        "sender_accuracy": 0.9,
        "receiver_accuracy": 0.8,
        "seed": 0,
        "settings": {"family": {"name": "linear"}},
        "versions": {},
    }
    about |= {"study": "made", "dataset_digest": DIGEST} | attributes
    return PairRecord(about, *(layers or map(layers_of, (sender, receiver))), tuple(columns))


def write(folder, record, *between):
    """Write a record where a study has it: `<objective>/<sender>/<receiver>.h5`, or with more folders between."""
    objective, sender, receiver = (record.attributes[name] for name in ("objective", "sender", "receiver"))
    path = folder.joinpath(objective, *between, sender, f"{receiver}.h5")
    records.write(path, record)
    return path
