"""The only place where predictions are compared with labels, for arrays and for tensors."""

from typing import Any


def correct(predictions: Any, labels: Any) -> Any:
    """Whether each prediction (..., images) is its label (images,): bool (..., images)."""
    return predictions == labels


def accuracy(predictions: Any, labels: Any) -> Any:
    """Share of the images whose prediction is right, of arrays (..., images): float64 (...)."""
    return correct(predictions, labels).mean(axis=-1)
