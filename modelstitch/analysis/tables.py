"""Tidy tables of a study: one row a cell, and one row a network. They hold no times: equal results, equal bytes."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from modelstitch import records
from modelstitch.errors import ModelstitchError
from modelstitch.files import replacing
from modelstitch.identifiers import RECIPES, NetworkId
from modelstitch.networks.architectures import count_layers

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
    "receiver_layer": "int64",
    "accuracy": "float64",
    "relative_accuracy": "float64",
    "test_loss": "float64",
    "train_accuracy": "float64",
    "train_loss": "float64",
    "test_images": "int64",
    "diverged": "bool",
    "reason": "str",
}
EXCESSES_OVER_RANDOM = ("excess_over_random_sender", "excess_over_random_receiver", "excess_over_random_both")
EXCESSES = (*EXCESSES_OVER_RANDOM, "excess_over_probe", "excess_over_self")
CELL_COLUMNS = RECORDED | dict.fromkeys(EXCESSES, "float64")
CELL = (
    "objective",
    *(f"{role}_{key}" for role in ("sender", "receiver") for key in ("architecture", "recipe", "seed", "layer")),
)
NETWORK_COLUMNS = {
    "network": "str",
    "architecture": "str",
    "recipe": "str",
    "seed": "int64",
    "width": "int64",
    "parameters": "int64",
    "accuracy": "float64",
    "loss": "float64",
    "train_accuracy": "float64",
    "test_images": "int64",
    "classes": "int64",
    "dataset": "str",
}


def cells(paths: Sequence[Path | str]) -> pd.DataFrame:
    """One row a cell of the records, with `CELL_COLUMNS`, sorted by pair and layers.

    `relative_accuracy` is the accuracy over the receiver's own; `train_accuracy` and `train_loss` are the last
    epoch's. A failed cell has NaN there and a `reason`.

    `EXCESSES` are the accuracy less that of a control; NaN where the control has no result. Of cells of two trained
    networks only: a random control is the cell of the same architectures, seeds and layers with one network or both
    random; the probe is the stitch from the same sender layer to the receiver's last layer, trained for the task, which
    is a linear probe, since pooling and a linear head follow. Of cells of two networks of one architecture, whatever
    their recipes: self is the cell of the same layers with the receiver as its own sender.
    """
    rows = [row for path in paths for row in _rows(records.read_pair(path))]
    keys = ["objective", *_network_keys("sender"), *_network_keys("receiver"), "sender_layer", "receiver_layer"]
    table = _sorted(pd.DataFrame(rows, columns=list(RECORDED)).astype(RECORDED), keys)
    return table.assign(**_excesses(table))


def _rows(record: records.PairRecord) -> list[tuple]:
    attributes = record.attributes
    networks = [NetworkId.parse(attributes[role]) for role in ("sender", "receiver")]
    names = [value for network in networks for value in (str(network), *network)]
    return [
        (
            attributes["objective"],
            *names,
            sender_layer,
            column.receiver_layer,
            column.test_accuracy[row],
            column.test_accuracy[row] / attributes["receiver_accuracy"],
            column.test_loss[row],
            column.train_accuracy[row, -1],
            column.train_loss[row, -1],
            column.test_images,
            column.diverged[row],
            column.reason[row],
        )
        for column in record.columns
        for row, sender_layer in enumerate(column.sender_layers)
    ]


def _excesses(table: pd.DataFrame) -> dict[str, pd.Series]:
    """The columns `EXCESSES`, as `cells` describes them."""
    last = table.receiver_architecture.map(lambda name: count_layers(name) - 1)
    receiver = {f"sender_{key}": table[f"receiver_{key}"] for key in ("architecture", "recipe", "seed")}
    trained = (table.sender_recipe == "trained") & (table.receiver_recipe == "trained")
    alike = table.sender_architecture == table.receiver_architecture
    controls = (
        (trained, {"sender_recipe": "random"}),
        (trained, {"receiver_recipe": "random"}),
        (trained, {"sender_recipe": "random", "receiver_recipe": "random"}),
        (trained, {"objective": "task", "receiver_layer": last}),
        (alike, receiver),
    )
    return {
        name: (table.accuracy - _accuracy_of(table, table.assign(**control))).where(compared).astype("float64")
        for name, (compared, control) in zip(EXCESSES, controls, strict=True)
    }


def _accuracy_of(table: pd.DataFrame, wanted: pd.DataFrame) -> pd.Series:
    """Accuracies of the wanted cells, in their order; NaN for one that is not in the table."""
    keys = list(CELL)
    return wanted[keys].merge(table[[*keys, "accuracy"]], on=keys, how="left", validate="many_to_one").accuracy


def _network_keys(role: str) -> list[str]:
    return [f"{role}_{key}" for key in ("recipe", "architecture", "seed")]


def networks(paths: Sequence[Path | str]) -> pd.DataFrame:
    """One row a network, with `NETWORK_COLUMNS`, from the JSON files beside the weights, sorted by recipe and name.

    Raises:
        ModelstitchError: if a file is no JSON or lacks one of the columns, naming it.
    """
    table = pd.DataFrame([_network(path) for path in paths], columns=list(NETWORK_COLUMNS)).astype(NETWORK_COLUMNS)
    return _sorted(table, ["recipe", "architecture", "seed"])


def _network(path: Path | str) -> list:
    try:
        about = json.loads(Path(path).read_text(encoding="utf-8"))
        return [about[name] for name in NETWORK_COLUMNS]
    except (OSError, ValueError) as error:
        raise ModelstitchError(f"{path}: can't be read as JSON ({error}): delete it and run the study again") from error
    except KeyError as error:
        raise ModelstitchError(f"{path}: key {error} is missing: delete it and run the study again") from error


def _sorted(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Rows by these columns, recipes in the order of `RECIPES`."""
    return table.sort_values(
        keys,
        key=lambda column: column.map(RECIPES.index) if column.name.endswith("recipe") else column,
        ignore_index=True,
    )


def write_csv(table: pd.DataFrame, path: Path | str) -> None:
    """Write a table as CSV: every digit of a float, and NaN spelled out."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, na_rep="NaN", lineterminator="\n")


def write_parquet(table: pd.DataFrame, path: Path | str) -> None:
    """Write a table as Parquet."""
    with replacing(path) as temporary:
        table.to_parquet(temporary, index=False)


def read(path: Path | str) -> pd.DataFrame:
    """Read a table of either kind, by its suffix.

    Raises:
        ModelstitchError: if the file is missing or damaged, naming it.
    """
    try:
        if Path(path).suffix == ".parquet":
            return pd.read_parquet(path)
        table = pd.read_csv(path)
        return table.fillna({"reason": ""}) if "reason" in table else table
    except (OSError, ValueError) as error:
        raise ModelstitchError(f"{path}: not a whole table ({error}): delete it and run the study again") from error


def read_all(paths: Sequence[Path | str]) -> pd.DataFrame:
    """Tables with the same columns, one after the other.

    Raises:
        ModelstitchError: as `read`.
    """
    return pd.concat([read(path) for path in paths], ignore_index=True)
