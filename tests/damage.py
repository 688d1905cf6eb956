"""Damage to files: bits that flip, and fields that somebody changed and sealed again."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from modelstitch import hdf5


def flipped(path: Path, count: int, seed: int = 0):
    """The file with one random bit flipped, `count` times; each time the byte that was hit. It ends as it was."""
    content = path.read_bytes()
    random = np.random.default_rng(seed)
    for _ in range(count):
        place, bit = int(random.integers(len(content))), int(random.integers(8))
        damaged = bytearray(content)
        damaged[place] ^= 1 << bit
        path.write_bytes(damaged)
        yield place
    path.write_bytes(content)


def edit(path: Path, change: Callable[[h5py.File], None]) -> None:
    """Change an HDF5 file as another program can, and give it a digest as if modelstitch had written it so."""
    with h5py.File(path, "r+") as file:
        change(file)
    hdf5.seal(path)


def put(file: h5py.Group, name: str, values: object, **how: object) -> None:
    """Put another array in the place of one."""
    del file[name]
    file.create_dataset(name, data=values, **how)
