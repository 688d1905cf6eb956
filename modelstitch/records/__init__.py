"""The record of one ordered pair and objective: every cell's accuracies, losses and predictions, as one HDF5 file.

The layout of the file is described in docs/results.md.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from modelstitch.errors import ModelstitchError
from modelstitch.files import replacing

FORMAT_VERSION = 1
JSON_ATTRIBUTES = ("settings", "versions")
IDENTITY = (
    "study",
    "objective",
    "sender",
    "receiver",
    "sender_accuracy",
    "receiver_accuracy",
    "dataset",
    "dataset_digest",
    "settings",
    "seed",
    "precision",
    "versions",
)


@dataclass(frozen=True)
class Column:
    """The S cells of one receiver layer, in the order of `sender_layers`.

    A cell without a result has a NaN `test_accuracy` and says why in `reason`, which is empty for every other cell.

    Raises:
        ValueError: if the shapes disagree, or a NaN has no reason, or a reason no NaN.
    """

    receiver_layer: int
    sender_layers: tuple[int, ...]
    test_accuracy: np.ndarray  # float64 (S,)
    test_loss: np.ndarray  # float64 (S,)
    train_accuracy: np.ndarray  # float64 (S, epochs)
    train_loss: np.ndarray  # float64 (S, epochs)
    test_images: int
    predictions: np.ndarray  # uint8 or uint16 (S, test_images): the predicted classes
    diverged: np.ndarray  # bool (S,)
    reason: tuple[str, ...]

    def __post_init__(self) -> None:
        cells = len(self.sender_layers)
        epochs = np.shape(self.train_accuracy)[-1]
        expected = {
            "test_accuracy": (cells,),
            "test_loss": (cells,),
            "train_accuracy": (cells, epochs),
            "train_loss": (cells, epochs),
            "predictions": (cells, self.test_images),
            "diverged": (cells,),
            "reason": (cells,),
        }
        for name, shape in expected.items():
            if np.shape(getattr(self, name)) != shape:
                raise ValueError(f"{name} has shape {np.shape(getattr(self, name))}: expected {shape}")
        for layer, accuracy, diverged, reason in zip(
            self.sender_layers, self.test_accuracy, self.diverged, self.reason, strict=True
        ):
            if np.isnan(accuracy) != (reason != "") or (diverged and reason == ""):
                raise ValueError(
                    f"cell ({layer}, {self.receiver_layer}): accuracy {accuracy}, diverged {bool(diverged)}, "
                    f"reason {reason!r}: a failed cell has a NaN accuracy and a reason, any other has neither"
                )


@dataclass(frozen=True)
class PairRecord:
    """All cells of one ordered pair and objective, columns in the order of their receiver layers."""

    attributes: dict[str, Any]
    columns: tuple[Column, ...]


def predictions_dtype(classes: int) -> np.dtype:
    """Smallest type that holds the classes and, as its largest value, the mark of a failed cell's predictions."""
    return np.dtype(np.uint8 if classes <= np.iinfo(np.uint8).max else np.uint16)


def write_pair(path: Path | str, columns: Sequence[Column], attributes: Mapping[str, Any]) -> None:
    """Write the record of one pair: a group a column, and `attributes` at the root.

    `settings` and `versions` are dicts, the other attributes numbers or text; those of `IDENTITY` are required. The
    file is made in memory and written whole, since HDF5 can't be trusted to survive a full disk.

    Raises:
        ValueError: if an attribute is missing, or two columns are of the same receiver layer.
        ModelstitchError: if the file can't be written.
    """
    if missing := [name for name in IDENTITY if name not in attributes]:
        raise ValueError(f"{path}: attributes {missing} are missing")
    layers = [column.receiver_layer for column in columns]
    if len(set(layers)) < len(layers):
        raise ValueError(f"{path}: receiver layers {layers}: expected each once")
    with h5py.File(Path(path).name, "w", driver="core", backing_store=False) as file:
        file.attrs["format_version"] = FORMAT_VERSION
        for name, value in attributes.items():
            file.attrs[name] = json.dumps(value, sort_keys=True) if name in JSON_ATTRIBUTES else value
        for column in columns:
            _write_column(file.create_group(f"layer_{column.receiver_layer:02d}"), column)
        file.flush()
        image = file.id.get_file_image()
    with replacing(path) as temporary:
        temporary.write_bytes(image)


def _write_column(group: h5py.Group, column: Column) -> None:
    failed = np.isnan(column.test_accuracy)[:, None]
    predictions = np.where(failed, np.iinfo(column.predictions.dtype).max, column.predictions)
    group.attrs["receiver_layer"] = column.receiver_layer
    group.attrs["test_images"] = column.test_images
    group["sender_layers"] = np.array(column.sender_layers, np.int64)
    group["diverged"] = np.asarray(column.diverged, bool)
    group["reason"] = np.array(column.reason, h5py.string_dtype())
    for name in ("test_accuracy", "test_loss", "train_accuracy", "train_loss"):
        group[name] = np.asarray(getattr(column, name), np.float64)
    group.create_dataset(
        "predictions",
        data=predictions.astype(column.predictions.dtype),
        chunks=(1, column.test_images),
        compression="gzip",
    )


def read_pair(path: Path | str) -> PairRecord:
    """Read the record of one pair.

    Raises:
        ModelstitchError: if the file is missing, damaged, or of another format version, naming it.
    """
    try:
        with h5py.File(path, "r") as file:
            attributes = {name: _plain(value) for name, value in file.attrs.items()}
            version = attributes.pop("format_version")
            if version != FORMAT_VERSION:
                raise ModelstitchError(
                    f"{path}: format_version {version}: this version of modelstitch reads {FORMAT_VERSION}: "
                    "delete the file and run the study again"
                )
            for name in JSON_ATTRIBUTES:
                attributes[name] = json.loads(attributes[name])
            columns = [_read_column(group) for group in file.values()]
    except FileNotFoundError as error:
        raise ModelstitchError(f"{path}: no such file: expected the record of a pair") from error
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise ModelstitchError(
            f"{path}: not a whole record of a pair ({_first_line(error)}): delete the file and run the study again"
        ) from error
    return PairRecord(attributes, tuple(sorted(columns, key=lambda column: column.receiver_layer)))


def _read_column(group: h5py.Group) -> Column:
    return Column(
        receiver_layer=int(group.attrs["receiver_layer"]),
        sender_layers=tuple(group["sender_layers"][()].tolist()),
        test_accuracy=group["test_accuracy"][()],
        test_loss=group["test_loss"][()],
        train_accuracy=group["train_accuracy"][()],
        train_loss=group["train_loss"][()],
        test_images=int(group.attrs["test_images"]),
        predictions=group["predictions"][()],
        diverged=group["diverged"][()],
        reason=tuple(group["reason"].asstr()[()].tolist()),
    )


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _first_line(error: Exception) -> str:
    return str(error).strip("'\"").splitlines()[0] if str(error) else type(error).__name__


def join(paths: Sequence[Path | str], path: Path | str) -> None:
    """Write the record of a pair from those of its blocks of receiver layers.

    Seconds add up, and `images_per_second` is their total's; what else tells how a block was run (its device) is
    listed where blocks differ.

    Raises:
        ModelstitchError: if the blocks disagree in `IDENTITY` or in sender layers, or hold a receiver layer twice.
    """
    blocks = [read_pair(block) for block in paths]
    first = blocks[0]
    origin: dict[int, Path | str] = {}
    for source, block in zip(paths, blocks, strict=True):
        for name in IDENTITY:
            if block.attributes[name] != first.attributes[name]:
                raise ModelstitchError(
                    f"{source}: {name} {block.attributes[name]!r} differs from {first.attributes[name]!r} in "
                    f"{paths[0]}: expected blocks of one run: delete both and run the study again"
                )
        for column in block.columns:
            if column.receiver_layer in origin:
                raise ModelstitchError(
                    f"{source}: receiver layer {column.receiver_layer} is also in {origin[column.receiver_layer]}: "
                    "expected blocks that don't overlap: delete both and run the study again"
                )
            if column.sender_layers != first.columns[0].sender_layers:
                raise ModelstitchError(
                    f"{source}: sender layers {list(column.sender_layers)} differ from "
                    f"{list(first.columns[0].sender_layers)} in {paths[0]}: delete both and run the study again"
                )
            origin[column.receiver_layer] = source
    columns = sorted((column for block in blocks for column in block.columns), key=lambda c: c.receiver_layer)
    write_pair(path, columns, _joined_attributes([block.attributes for block in blocks]))


def _joined_attributes(blocks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    joined = dict(blocks[0])
    for name in joined.keys() - set(IDENTITY):
        values = [block[name] for block in blocks]
        if name in ("seconds", "processor_seconds"):
            joined[name] = sum(values)
        elif name == "images_per_second":
            seconds = [block["seconds"] for block in blocks]
            joined[name] = sum(np.multiply(values, seconds).tolist()) / sum(seconds)
        elif len(set(values)) > 1:
            joined[name] = "; ".join(sorted({str(value) for value in values}))
    return joined
