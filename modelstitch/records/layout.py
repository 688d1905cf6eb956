"""The layout of a record, declared once: what a column holds along its cells, and what is kept of a network's layers.

Another array of a column is a field of `Column` here, and its value where it is known.
"""

from dataclasses import dataclass, fields
from typing import Annotated, Any, NamedTuple, get_origin, get_type_hints

import numpy as np

FORMAT_VERSION = 3
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


class Array(NamedTuple):
    """How a file holds a field that is an array.

    Attributes:
        dimensions: along which of `cells`, `epochs` and `images` it goes.
        dtype: of its numbers, or `text`; `classes` is the smallest that holds a class and the mark of a failed cell.
    """

    dimensions: tuple[str, ...]
    dtype: type | str


@dataclass(frozen=True)
class Column:
    """The S cells of one receiver layer, in the order of `sender_layers`.

    `agreement` is how often a cell predicts what the receiver does of a test image. A cell without a result has a NaN
    `test_accuracy` and says why in `reason`, which is empty for every other cell.

    Raises:
        ValueError: if the shapes disagree, or a NaN has no reason, or a reason no NaN.
    """

    receiver_layer: int
    sender_layers: tuple[int, ...]
    test_images: int
    test_accuracy: Annotated[np.ndarray, Array(("cells",), np.float64)]
    test_loss: Annotated[np.ndarray, Array(("cells",), np.float64)]
    agreement: Annotated[np.ndarray, Array(("cells",), np.float64)]
    train_accuracy: Annotated[np.ndarray, Array(("cells", "epochs"), np.float64)]
    train_loss: Annotated[np.ndarray, Array(("cells", "epochs"), np.float64)]
    predictions: Annotated[np.ndarray, Array(("cells", "images"), "classes")]
    diverged: Annotated[np.ndarray, Array(("cells",), bool)]
    reason: Annotated[tuple[str, ...], Array(("cells",), "text")]

    def __post_init__(self) -> None:
        sizes = {
            "cells": len(self.sender_layers),
            "epochs": np.shape(self.train_accuracy)[-1],
            "images": self.test_images,
        }
        for name, declared in ARRAYS.items():
            found = np.shape(getattr(self, name))
            expected = tuple(sizes[dimension] for dimension in declared.dimensions)
            if found != expected:
                raise ValueError(f"{name} has shape {found}: expected {expected}")
        for layer, accuracy, diverged, reason in zip(
            self.sender_layers, self.test_accuracy, self.diverged, self.reason, strict=True
        ):
            if np.isnan(accuracy) != (reason != "") or (diverged and reason == ""):
                raise ValueError(
                    f"cell ({layer}, {self.receiver_layer}): accuracy {accuracy}, diverged {bool(diverged)}, "
                    f"reason {reason!r}: a failed cell has a NaN accuracy and a reason, any other has neither"
                )


# The arrays of a column, by name.
ARRAYS: dict[str, Array] = {
    name: hint.__metadata__[0]
    for name, hint in get_type_hints(Column, include_extras=True).items()
    if get_origin(hint) is Annotated
}


def predictions_dtype(classes: int) -> np.dtype:
    """Smallest type that holds the classes and, as its largest value, the mark of a failed cell's predictions."""
    return np.dtype(np.uint8 if classes <= np.iinfo(np.uint8).max else np.uint16)


@dataclass(frozen=True)
class Layers:
    """The layers of one network, L of them, whether stitched or not.

    Attributes:
        names: by which the network calls them.
        layouts: `map`, `map-last`, `tokens` or `vector`.
        shapes: channels, height, width and extra tokens, int64 (L, 4).
        operations: floating-point operations for one image up to each layer, int64 (L,).
        total_operations: those of the whole network.
    """

    names: tuple[str, ...]
    layouts: tuple[str, ...]
    shapes: np.ndarray
    operations: np.ndarray
    total_operations: int

    def __len__(self) -> int:
        return len(self.names)

    def equals(self, other: "Layers") -> bool:
        """Whether they are the same in all."""
        return all(np.array_equal(getattr(self, each.name), getattr(other, each.name)) for each in fields(self))

    def name(self, layer: int) -> str:
        """Of a layer; `image` of layer -1."""
        return self.names[layer] if layer >= 0 else "image"

    def shape(self, layer: int) -> tuple[int, int, int, str, int]:
        """Channels, height, width, layout and extra tokens of what a layer gives, as `Representation` takes them."""
        channels, height, width, extra = map(int, self.shapes[layer])
        return channels, height, width, self.layouts[layer], extra

    def depth_by_operations(self, layer: int) -> float:
        """The share of the network's operations that lead to a layer: 0 of the image; NaN where none are counted."""
        if not self.total_operations:
            return float("nan")
        return float(self.operations[layer]) / self.total_operations if layer >= 0 else 0.0


@dataclass(frozen=True)
class PairRecord:
    """All cells of one ordered pair and objective, columns in the order of their receiver layers.

    Attributes:
        attributes: what was stitched and how; `docs/results.md` lists them.
        sender, receiver: the networks' layers.
        columns: the cells.
    """

    attributes: dict[str, Any]
    sender: Layers
    receiver: Layers
    columns: tuple[Column, ...]
