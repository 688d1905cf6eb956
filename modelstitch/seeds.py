"""Random seeds that depend on names, never on the order of work."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from modelstitch.errors import ModelstitchError


def seed_of(*parts: object) -> int:
    """A seed in `0 .. 2**63 - 1` determined by these parts (their `str`) alone: study seed, ids, layers, epoch, ..."""
    text = "\0".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def derangement(count: int, seed: int) -> np.ndarray:
    """A random permutation of `0 .. count - 1` without fixed points, int64 (count,), all of them equally likely.

    Raises:
        ModelstitchError: if `count` is 1.
    """
    if count < 2:
        raise ModelstitchError(f"{count} can't be exchanged: expected two classes, and two images, at least")
    generator = np.random.default_rng(seed)
    while True:  # a permutation in e is one
        order = generator.permutation(count)
        if (order != np.arange(count)).all():
            return order


@contextmanager
def drawing(seed: int, device: str = "cpu") -> Iterator[None]:
    """A context in which modules draw random numbers from a seed; torch's global state is restored after it."""
    import torch

    with torch.random.fork_rng([] if device == "cpu" else [torch.cuda.current_device()]):
        torch.manual_seed(seed)
        yield
