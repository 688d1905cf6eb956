"""Outputs of the nodes of a traced network: shapes and types of tensors, and other values as they are."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

BATCHES = (2, 3)  # numbers of images that a graph is run with: what differs between them depends on that number


class TensorSpec(NamedTuple):
    """Shape and type of a tensor."""

    shape: tuple[int, ...]
    dtype: torch.dtype


class Value(NamedTuple):
    """A node's output for each of `BATCHES`: tensors by shape and type, other values as they are.

    Attributes:
        specs: one for each of `BATCHES`.
        tensors: whether it is a tensor, or holds some.
    """

    specs: tuple[Any, ...]
    tensors: bool

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        """Shape for one image, if this is a tensor of floating-point numbers with one row per image; else None."""
        if not all(isinstance(spec, TensorSpec) and spec.dtype.is_floating_point and spec.shape for spec in self.specs):
            return None
        shapes = {spec.shape[1:] for spec in self.specs}
        rows = tuple(spec.shape[0] for spec in self.specs)
        return shapes.pop() if rows == BATCHES and len(shapes) == 1 else None


def spec_of(value: Any) -> Any:
    """A value in which tensors are replaced by their shapes and types."""
    if isinstance(value, Tensor):
        return TensorSpec(tuple(value.shape), value.dtype)
    if isinstance(value, (tuple, list)):
        return tuple(map(spec_of, value))
    return value


def has_tensors(spec: Any) -> bool:
    """Whether a value is a tensor, or contains any."""
    return isinstance(spec, TensorSpec) or (isinstance(spec, tuple) and any(map(has_tensors, spec)))


def count(spec: Any) -> int:
    """Size of the largest tensor in a value, in numbers."""
    if isinstance(spec, TensorSpec):
        return math.prod(spec.shape)
    return max(map(count, spec), default=0) if isinstance(spec, tuple) else 0
