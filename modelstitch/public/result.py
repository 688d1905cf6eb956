"""The result of stitching a pair: accuracies by layer name, predictions, the triangle, a figure, a record."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from modelstitch import records
from modelstitch.analysis import triangle
from modelstitch.analysis.uncertainty import wilson
from modelstitch.figures import pair as pair_figure
from modelstitch.figures.paper import Paper
from modelstitch.records import PairRecord
from modelstitch.stitches.geometry import Cell

FAILED = -1


class Result:
    """The cells of one ordered pair.

    Attributes:
        record: everything that is known of the pair, as a study keeps it.
        stitches: the trained stitches by cell (sender layer, receiver layer); empty if the result was read from a file.
    """

    def __init__(self, record: PairRecord, stitches: Mapping[Cell, Any] | None = None) -> None:
        self.record, self.stitches = record, dict(stitches or {})

    @property
    def accuracy(self) -> pd.DataFrame:
        """Test accuracy of every cell: rows are sender layers, columns receiver layers. NaN without a result."""
        return self._frame("test_accuracy")

    @property
    def interval(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Ends of the 95 % interval of each accuracy over test images (Wilson's): the low ends, then the high ends."""
        accuracy = self.accuracy
        ends = wilson(accuracy.to_numpy(), self.record.columns[0].test_images)
        return tuple(pd.DataFrame(end, accuracy.index, accuracy.columns) for end in ends)

    @property
    def relative(self) -> pd.DataFrame:
        """The accuracies divided by the receiver's own accuracy."""
        return self.accuracy / self.receiver_accuracy

    @property
    def agreement(self) -> pd.DataFrame:
        """Share of the test images for which a cell predicts what the receiver predicts, right or wrong."""
        return self._frame("agreement")

    @property
    def loss(self) -> pd.DataFrame:
        """Mean cross-entropy of every cell on the test images."""
        return self._frame("test_loss")

    @property
    def sender_accuracy(self) -> float:
        """Accuracy of the sender alone, on the test images."""
        return float(self.record.attributes["sender_accuracy"])

    @property
    def receiver_accuracy(self) -> float:
        """Accuracy of the receiver alone, on the test images."""
        return float(self.record.attributes["receiver_accuracy"])

    @property
    def predictions(self) -> np.ndarray:
        """Predicted classes, int64, shape (sender layers, receiver layers, test images); -1 if a cell has no result."""
        found = np.stack([column.predictions.astype(np.int64) for column in self.record.columns], axis=1)
        found[self.accuracy.isna().to_numpy()] = FAILED
        return found

    @property
    def triangle(self) -> pd.Series:
        """The paper's triangle in numbers: mean accuracy at or below the diagonal, above it, ... (docs/results.md).

        All are NaN if one side of the diagonal has no result.
        """
        return pd.Series(triangle.numbers_or_nan(self._matrix(), len(self.record.sender), len(self.record.receiver)))

    def _matrix(self, name: str = "test_accuracy") -> pd.DataFrame:
        """An array of the record along its cells, by the layers' indices."""
        rows = self.record.columns[0].sender_layers
        values = {column.receiver_layer: getattr(column, name) for column in self.record.columns}
        return pd.DataFrame(values, index=pd.Index(rows, name="sender_layer")).rename_axis(columns="receiver_layer")

    def plot(self, colormap: str = "viridis", width: str = "natural", titles: bool = True) -> Figure:
        """The matrix as a figure of matplotlib, each cell with its accuracy. A notebook displays it.

        Args:
            colormap: name of a colormap of matplotlib.
            width: `natural`, or exactly one `column` (3.3 inches) or `two-columns` (6.8 inches) of a paper.
            titles: False leaves the title out, for a figure with a caption below it.

        Raises:
            ModelstitchError: if there is no such width.
        """
        return pair_figure.draw_record(self.record, colormap, Paper(width, titles))

    def save(self, path: Path | str) -> None:
        """Write the record to a file, as a study does. `modelstitch.read` reads it.

        Raises:
            ModelstitchError: if the file can't be written.
        """
        records.write(path, self.record)

    def _frame(self, name: str) -> pd.DataFrame:
        matrix = self._matrix(name)
        rows = [self.record.sender.name(layer) for layer in matrix.index]
        columns = [self.record.receiver.name(layer) for layer in matrix.columns]
        sides = (f"{self.record.attributes[role]} ({role})" for role in ("sender", "receiver"))
        index, header = (pd.Index(names, name=side) for names, side in zip((rows, columns), sides, strict=True))
        return pd.DataFrame(matrix.to_numpy(), index=index, columns=header)

    def __repr__(self) -> str:
        about, cells = self.record.attributes, self.accuracy
        return (
            f"{about['sender']} ({self.sender_accuracy:.3f}) → {about['receiver']} ({self.receiver_accuracy:.3f}), "
            f"{about['objective']}: {cells.shape[0]} x {cells.shape[1]} cells, mean accuracy "
            f"{np.nanmean(cells.to_numpy()):.3f}"
        )


def read(path: Path | str) -> Result:
    """Read the record of a pair, written by a study or by `Result.save`. The stitches are not part of it.

    Raises:
        ModelstitchError: if the file is missing, damaged, or of another format version.
    """
    return Result(records.read(path))
