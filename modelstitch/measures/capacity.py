"""Accuracy by the capacity of a stitch: how much can a stitch express before it can hack the receiver?

A stitch of little capacity shows how similar two representations are already; one of large capacity may turn anything
into what the suffix needs. Accuracy on remapped labels tells the two apart: as far as it rises with capacity, the
task's accuracy is no evidence of similarity.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from modelstitch.analysis.evidence import Evidence, agree
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


def cells(
    paths: Sequence[Path | str], evidence: Evidence, settings: Mapping[str, Mapping[str, Any]] | None = None
) -> pd.DataFrame:
    """One row per cell of each record, with `COLUMNS`; the accuracy is NaN for a cell without a result.

    `capacity` is the dimension of the set of maps that a stitch can express, at most its number of weights. It is
    smaller for a map of low rank, where another basis between the factors changes nothing, and for a rotation of n
    channels, which has n (n - 1) / 2 angles.

    Args:
        paths: `<objective>/<family>/<sender>/<receiver>.h5`.
        evidence: the data set and study that the records are checked against.
        settings: by which the stitches of each family are trained, by its label; None where they are not known.

    Raises:
        ModelstitchError: as `Evidence.read`.
    """
    rows = []
    for path in paths:
        named = Path(path).parts[-3]
        record = evidence.read(path, folders=1, settings=(settings or {}).get(named))
        family = read(Family, record.attributes["settings"].get("family"))
        agree(path, "settings.family", label(family), named)
        rows += _rows(record, family)
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def _rows(record: PairRecord, family: Family) -> Iterator[dict[str, Any]]:
    about = {name: record.attributes[name] for name in ("objective", "sender", "receiver")}
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
