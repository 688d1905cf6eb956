"""The layout of a record, declared once: the arrays of a column of cells, and what is kept of a network's layers.

To add an array, declare it as a field of `Column`, and set it where columns are made (`fitting.pair.column`).
"""

from dataclasses import dataclass
from math import inf
from typing import Annotated, Any, NamedTuple, get_origin, get_type_hints

import numpy as np

FORMAT_VERSION = 5
JSON_ATTRIBUTES = ("settings", "versions")
IDENTITY = (
    "study",
    "objective",
    "sender",
    "receiver",
    "sender_accuracy",
    "receiver_accuracy",
    "sender_digest",
    "receiver_digest",
    "dataset",
    "dataset_digest",
    "settings",
    "seed",
    "precision",
    "versions",
)
LAYOUTS = ("map", "map-last", "tokens", "vector")


class Array(NamedTuple):
    """How an array field is stored in a file, and which values it may have.

    Attributes:
        dimensions: its dimensions in a column: some of `cells`, `epochs` and `images`.
        dtype: the type of its numbers; `text`; or `classes`, the smallest type for classes and a failed cell's mark.
        highest: the largest allowed number, the smallest being 0; None allows any number.
        known: whether the numbers of every cell with a result must be finite.
    """

    dimensions: tuple[str, ...]
    dtype: type | str
    highest: float | None = None
    known: bool = False


@dataclass(frozen=True)
class Column:
    """The S cells of one receiver layer, in the order of `sender_layers`.

    `agreement` is the share of test images for which a cell predicts the same class as the receiver. A cell without a
    result has a NaN `test_accuracy`, and `reason` says why; for every other cell `reason` is empty.

    Raises:
        ValueError: if shapes disagree, a number is not allowed, or only one of a NaN accuracy and a reason is there.
    """

    receiver_layer: int
    sender_layers: tuple[int, ...]
    test_images: int
    test_accuracy: Annotated[np.ndarray, Array(("cells",), np.float64, 1, True)]
    test_loss: Annotated[np.ndarray, Array(("cells",), np.float64, inf, True)]
    agreement: Annotated[np.ndarray, Array(("cells",), np.float64, 1, True)]
    train_accuracy: Annotated[np.ndarray, Array(("cells", "epochs"), np.float64, 1)]
    train_loss: Annotated[np.ndarray, Array(("cells", "epochs"), np.float64, None, True)]
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
        failed = np.isnan(self.test_accuracy)
        for name, declared in ARRAYS.items():
            values = np.asarray(getattr(self, name))
            if declared.highest is not None:
                wrong = values[(values < 0) | (values > declared.highest)]
                if wrong.size:
                    raise ValueError(f"{name} {wrong.flat[0]}: expected 0 to {declared.highest}")
            if declared.known and not np.isfinite(values[~failed]).all():
                raise ValueError(f"{name} of a cell with a result is not finite")
        for layer, accuracy, diverged, reason in zip(
            self.sender_layers, self.test_accuracy, self.diverged, self.reason, strict=True
        ):
            if np.isnan(accuracy) != (reason != "") or (diverged and reason == ""):
                raise ValueError(
                    f"cell ({layer}, {self.receiver_layer}): accuracy {accuracy}, diverged {bool(diverged)}, "
                    f"reason {reason!r}: a failed cell has a NaN accuracy and a reason, any other has neither"
                )

    @property
    def epochs(self) -> int:
        """Number of epochs with a train loss."""
        return self.train_loss.shape[1]


# The array fields of a column, by name.
ARRAYS: dict[str, Array] = {
    name: hint.__metadata__[0]
    for name, hint in get_type_hints(Column, include_extras=True).items()
    if get_origin(hint) is Annotated
}


def predictions_dtype(classes: int) -> np.dtype:
    """The smallest type for the classes and for its own largest value, which marks the predictions of a failed cell."""
    return np.dtype(np.uint8 if classes <= np.iinfo(np.uint8).max else np.uint16)


@dataclass(frozen=True)
class Layers:
    """All L layers of one network, stitched or not.

    Attributes:
        names: the network's own names of them.
        layouts: `map`, `map-last`, `tokens` or `vector`.
        shapes: channels, height, width and extra tokens, int64 (L, 4).
        operations: floating-point operations for one image up to each layer, int64 (L,).
        total_operations: floating-point operations of the whole network for one image.

    Raises:
        ValueError: if the fields have different numbers of layers, or impossible values.
    """

    names: tuple[str, ...]
    layouts: tuple[str, ...]
    shapes: np.ndarray
    operations: np.ndarray
    total_operations: int

    def __post_init__(self) -> None:
        count = len(self.names)
        if len(self.layouts) != count or np.shape(self.shapes) != (count, 4) or np.shape(self.operations) != (count,):
            raise ValueError(
                f"{count} names, {len(self.layouts)} layouts, shapes {np.shape(self.shapes)}: expected one each"
            )
        if unknown := set(self.layouts) - set(LAYOUTS):
            raise ValueError(f"layouts {sorted(unknown)}: expected one of {', '.join(LAYOUTS)}")
        if np.any(np.asarray(self.shapes) < 0):
            raise ValueError("shapes are below 0")
        if np.any(np.diff(self.operations, prepend=0, append=self.total_operations) < 0):
            raise ValueError("operations: expected numbers that rise from 0 to the network's total")

    def __len__(self) -> int:
        return len(self.names)

    def difference(self, other: "Layers") -> str:
        """The first of names, layouts and shapes in which two networks' layers differ; "" if all are the same.

        Operations are not compared: torch counts them, and its releases count differently.
        """
        kinds = ("names", "layouts", "shapes")
        return next((kind for kind in kinds if not np.array_equal(getattr(self, kind), getattr(other, kind))), "")

    def name(self, layer: int) -> str:
        """The name of a layer; `image` for layer -1."""
        return self.names[layer] if layer >= 0 else "image"

    def shape(self, layer: int) -> tuple[int, int, int, str, int]:
        """Channels, height, width, layout and extra tokens of a layer's output, in the order of `Representation`."""
        channels, height, width, extra = map(int, self.shapes[layer])
        return channels, height, width, self.layouts[layer], extra

    def depth_by_operations(self, layer: int) -> float:
        """The share of the network's operations up to a layer: 0 for layer -1; NaN if none were counted."""
        if not self.total_operations:
            return float("nan")
        return float(self.operations[layer]) / self.total_operations if layer >= 0 else 0.0


@dataclass(frozen=True)
class PairRecord:
    """All cells of one ordered pair and objective, columns in the order of their receiver layers.

    Attributes:
        attributes: what was stitched and how; `docs/results.md` lists them.
        sender, receiver: the networks' layers.
        columns: the cells, one column per receiver layer.

    Raises:
        ValueError: if there is no column, one has layers that the networks do not have, or their numbers of test images
            differ.
    """

    attributes: dict[str, Any]
    sender: Layers
    receiver: Layers
    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        if not self.columns:
            raise ValueError("holds no cells")
        for column in self.columns:
            for role, layers in (("sender", column.sender_layers), ("receiver", (column.receiver_layer,))):
                if wrong := [layer for layer in layers if layer not in range(-1, len(getattr(self, role)))]:
                    raise ValueError(f"{role} layer {wrong[0]}: expected -1 to {len(getattr(self, role)) - 1}")
            if column.test_images != self.columns[0].test_images:
                raise ValueError(
                    f"test_images {column.test_images} and {self.columns[0].test_images}: expected the same"
                )
