"""The cells table, one row per cell: its columns, its order, and the rows of a record. `gathering` makes the table."""

from collections.abc import Iterator
from math import nan
from typing import Any

from modelstitch import records
from modelstitch.analysis.controls import EXCESSES, REMAPPED_COLUMNS
from modelstitch.analysis.depth import relative_depth
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


def rows_of(record: records.PairRecord) -> Iterator[dict[str, Any]]:
    """A row for each cell of a record, column by column: `RECORDED`, and the train loss of the first epoch."""
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
                    "first_train_loss": column.train_loss[row, 0],
                    "test_images": column.test_images,
                    "diverged": column.diverged[row],
                    "reason": column.reason[row],
                }
            )
