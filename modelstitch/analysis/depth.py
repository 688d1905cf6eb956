"""Relative depth: where a layer stands in its network, whatever the number of layers."""

import numpy as np
import pandas as pd

from modelstitch.analysis.matrices import PAIR, each_matrix

# By the relative depth of a layer, from the first number on and below the second.
THIRDS = {"early": (0, 1 / 3), "middle": (1 / 3, 2 / 3), "late": (2 / 3, np.inf)}


def relative_depth(layer: int, layers: int) -> float:
    """Position of a layer in its network: 0 for the first and 1 for the last layer; 1 if there is only one.

    arXiv 2303.11277 claims that the triangle's boundary is the diagonal by relative depth, not by index.

    Raises:
        ValueError: if `layer` is not in `0 .. layers - 1`.
    """
    if not 0 <= layer < layers:
        raise ValueError(f"layer {layer} of {layers}: expected one of 0 .. {layers - 1}")
    return layer / (layers - 1) if layers > 1 else 1.0


def corresponding(layer: int, layers: int, others: int) -> int:
    """The layer of a network with `others` layers that is nearest in relative depth; the earlier one of a tie.

    The paper's "corresponding layers": the same index where networks are equally deep.
    """
    depth = relative_depth(layer, layers)
    return min(range(others), key=lambda other: (round(abs(relative_depth(other, others) - depth), 9), other))


def on_depth_axes(matrix: pd.DataFrame, sender_layers: int, receiver_layers: int, size: int) -> np.ndarray:
    """A matrix on a common grid of relative depth: each point has the value of the nearest cell.

    Nothing is interpolated: every value was measured, and a cell without a result stays NaN.

    Args:
        matrix: rows are sender layers, columns receiver layers, in ascending order; layers may be left out.
        sender_layers, receiver_layers: number of layers of the networks.
        size: points along each axis, the middles of as many equal parts of 0 .. 1.

    Returns:
        (size, size), sender depth down, receiver depth to the right.
    """
    rows, columns = (
        _nearest([relative_depth(layer, layers) for layer in axis], size)
        for axis, layers in ((matrix.index, sender_layers), (matrix.columns, receiver_layers))
    )
    return matrix.to_numpy()[np.ix_(rows, columns)]


def average(cells: pd.DataFrame, size: int, value: str = "accuracy") -> np.ndarray:
    """Mean of a column over the pairs of a cells table, on axes of relative depth; NaN where no pair has a result.

    Returns:
        (size, size), on the axes of `on_depth_axes`.
    """
    total, results = np.zeros((size, size)), np.zeros((size, size), int)
    counts = cells.groupby(PAIR, sort=False)[["sender_layer_count", "receiver_layer_count"]].first()
    for pair, matrix in each_matrix(cells, value):
        values = on_depth_axes(matrix, *counts.loc[pair], size)
        total += np.nan_to_num(values)
        results += ~np.isnan(values)
    return np.divide(total, results, out=np.full((size, size), np.nan), where=results > 0)


def _nearest(depths: list[float], size: int) -> np.ndarray:
    points = (np.arange(size) + 0.5) / size
    return np.abs(points[:, None] - np.array(depths)).argmin(axis=1)
