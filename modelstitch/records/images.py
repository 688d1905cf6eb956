"""Images that stitches generated, with their originals, in one HDF5 file per ordered pair and objective."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from modelstitch import hdf5

PAIR = ("objective", "sender", "receiver")


class Shown(NamedTuple):
    """Some test images, and the images that the stitch of each sender layer generates from them, all uint8.

    Attributes:
        pair: objective, sender and receiver.
        sender_layers: the S sender layers.
        originals: (images, C, H, W).
        generated: (S, images, C, H, W).
    """

    pair: tuple[str, str, str]
    sender_layers: tuple[int, ...]
    originals: np.ndarray
    generated: np.ndarray


def write(path: Path | str, shown: Shown) -> None:
    """Write images as HDF5: `sender_layers`, `originals`, `generated`; attributes `objective`, `sender`, `receiver`.

    Raises:
        ModelstitchError: if the file can't be written.
    """

    def fill(file: h5py.File) -> None:
        file.attrs.update(zip(PAIR, shown.pair, strict=True))
        file["sender_layers"] = np.array(shown.sender_layers, np.int64)
        file["originals"], file["generated"] = shown.originals, shown.generated

    hdf5.write(path, fill)


def read(path: Path | str, pair: Sequence[str]) -> Shown:
    """Read a file that `write` wrote.

    Args:
        path: the file.
        pair: the objective, sender and receiver that it must have.

    Raises:
        ModelstitchError: if the file is missing, damaged or of another pair, or a field has an impossible value.
    """
    with hdf5.opened(path, "file of generated images", "run the study again with --forcerun and this file") as file:
        for name, expected in zip(PAIR, pair, strict=True):
            if (found := file.attribute(name, str)) != expected:
                raise file.error(name, f"{found!r}: expected {expected!r}")
        originals = file.array("originals", np.uint8, (None,) * 4)
        layers = file.integers("sender_layers", (None,), -1, 2**20)
        generated = file.array("generated", np.uint8, (len(layers), *originals.shape))
        return Shown(tuple(pair), tuple(layers.tolist()), originals, generated)
