"""The cells of a study as a tidy table, one row per cell, from its records."""

from collections.abc import Iterator, Sequence
from math import nan
from pathlib import Path
from typing import Any

import pandas as pd

from modelstitch import records
from modelstitch.analysis.controls import EXCESSES, REMAPPED_COLUMNS, excesses, over_remapped
from modelstitch.analysis.depth import relative_depth
from modelstitch.analysis.evidence import Evidence
from modelstitch.analysis.tables import in_order
from modelstitch.identifiers import NetworkId

ROLES = ("sender", "receiver")
RECORDED = {
    "objective": "str",
    "sender": "str",
    "sender_architecture": "str",
    "sender_recipe": "str",
    "sender_seed": "int64",
    "receiver": "str",
    "receiver_architecture": "str",
    "receiver_recipe": "str",
    "receiver_seed": "int64",
    "sender_layer": "int64",
    "sender_layer_name": "str",
    "sender_layer_count": "int64",
    "sender_depth": "float64",
    "sender_operations_depth": "float64",
    "receiver_layer": "int64",
    "receiver_layer_name": "str",
    "receiver_layer_count": "int64",
    "receiver_depth": "float64",
    "receiver_operations_depth": "float64",
    "accuracy": "float64",
    "relative_accuracy": "float64",
    "agreement": "float64",
    "test_loss": "float64",
    "train_accuracy": "float64",
    "train_loss": "float64",
    "test_images": "int64",
    "diverged": "bool",
    "reason": "str",
}
ORDER = [
    "objective",
    *(f"{role}_{key}" for role in ROLES for key in ("recipe", "architecture", "seed")),
    *(f"{role}_layer" for role in ROLES),
]
COLUMNS = RECORDED | dict.fromkeys([*EXCESSES, *REMAPPED_COLUMNS], "float64")


def cells(paths: Sequence[Path | str], evidence: Evidence) -> pd.DataFrame:
    """One row per cell of the records, with `COLUMNS`, sorted by pair and layers.

    `relative_accuracy` is the accuracy over the receiver's own; `agreement` how often the receiver predicts the same;
    `train_accuracy` and `train_loss` are the last epoch's. A failed cell has NaN there and a `reason`. A layer's
    `depth` is its position among the network's layers, 0 for the first and 1 for the last, NaN for the image; its
    `operations_depth` the share of the network's operations up to it. The `EXCESSES` are those of `controls.excesses`,
    the last columns those of `controls.over_remapped`.

    Raises:
        ModelstitchError: as `Evidence.read`.
    """
    rows = [row for path in paths for row in rows_of(evidence.read(path))]
    table = in_order(pd.DataFrame(rows, columns=list(RECORDED)).astype(RECORDED), ORDER)
    return table.assign(**excesses(table), **over_remapped(table))


def rows_of(record: records.PairRecord) -> Iterator[dict[str, Any]]:
    """A row with `RECORDED` for each cell of a record."""
    pair: dict[str, Any] = {"objective": record.attributes["objective"]}
    layers: dict[str, dict[int, dict[str, Any]]] = {}
    for role in ROLES:
        network, own = record.attributes[role], getattr(record, role)
        pair |= {role: network} | {f"{role}_{key}": part for key, part in NetworkId.parse(network)._asdict().items()}
        layers[role] = {
            layer: {
                f"{role}_layer": layer,
                f"{role}_layer_name": own.name(layer),
                f"{role}_layer_count": len(own),
                f"{role}_depth": relative_depth(layer, len(own)) if layer >= 0 else nan,
                f"{role}_operations_depth": own.depth_by_operations(layer),
            }
            for layer in range(-1, len(own))
        }
    for column in record.columns:
        for row, sender_layer in enumerate(column.sender_layers):
            yield (
                pair
                | layers["sender"][sender_layer]
                | layers["receiver"][column.receiver_layer]
                | {
                    "accuracy": column.test_accuracy[row],
                    "relative_accuracy": column.test_accuracy[row] / record.attributes["receiver_accuracy"],
                    "agreement": column.agreement[row],
                    "test_loss": column.test_loss[row],
                    "train_accuracy": column.train_accuracy[row, -1],
                    "train_loss": column.train_loss[row, -1],
                    "test_images": column.test_images,
                    "diverged": column.diverged[row],
                    "reason": column.reason[row],
                }
            )
