"""Accuracy by what a stitch can express: how much capacity does a cell take to be hackable?

A stitch that can express little shows how alike two representations are already; one that can express much may make
what the suffix needs of anything. Accuracy on remapped labels tells the two apart: where it rises with capacity, so
does what of the task's accuracy is no evidence of similarity.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from modelstitch import records
from modelstitch.config.families import Family, label
from modelstitch.config.section import read
from modelstitch.networks.representations import Representation
from modelstitch.records import PairRecord
from modelstitch.stitches.families import capacity, geometry_of

COLUMNS = {
    "objective": "str",
    "sender": "str",
    "receiver": "str",
    "family": "str",
    "sender_layer": "int64",
    "sender_layer_name": "str",
    "receiver_layer": "int64",
    "receiver_layer_name": "str",
    "capacity": "int64",
    "accuracy": "float64",
}


def cells(paths: Sequence[Path | str]) -> pd.DataFrame:
    """One row per cell of each record: `COLUMNS`, the accuracy NaN without a result.

    `capacity` is the dimension of what a stitch can express, at most its number of weights: another basis between the
    factors of a map of low rank changes nothing, and a rotation of n channels has n (n - 1) / 2 angles.
    """
    rows = [row for path in paths for row in _rows(records.read(path))]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def _rows(record: PairRecord) -> Iterator[dict[str, Any]]:
    about = {name: record.attributes[name] for name in ("objective", "sender", "receiver")}
    family = read(Family, record.attributes["settings"]["family"])
    between = geometry_of(family)
    for column in record.columns:
        j = column.receiver_layer
        for i, accuracy in zip(column.sender_layers, column.test_accuracy, strict=True):
            geometry = between(Representation(*record.sender.shape(i)), Representation(*record.receiver.shape(j)))
            yield about | {
                "family": label(family),
                "sender_layer": i,
                "sender_layer_name": record.sender.name(i),
                "receiver_layer": j,
                "receiver_layer_name": record.receiver.name(j),
                "capacity": capacity(geometry, family),
                "accuracy": accuracy,
            }
