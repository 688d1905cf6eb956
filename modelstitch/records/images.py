"""Images that stitches made, beside their originals, as one HDF5 file for each ordered pair and objective."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from modelstitch import hdf5

PAIR = ("objective", "sender", "receiver")


class Shown(NamedTuple):
    """Some test images, and what the stitch of each sender layer makes of them, all uint8.

    Attributes:
        pair: objective, sender and receiver.
        sender_layers: (S,).
        originals: (images, C, H, W).
        generated: (S, images, C, H, W).
    """

    pair: tuple[str, str, str]
    sender_layers: tuple[int, ...]
    originals: np.ndarray
    generated: np.ndarray


def write(path: Path | str, shown: Shown) -> None:
    """Write images as HDF5: `sender_layers`, `originals` and `generated`; attributes `objective`, `sender`, `receiver`.

    Raises:
        ModelstitchError: if the file can't be written.
    """

    def fill(file: h5py.File) -> None:
        file.attrs.update(zip(PAIR, shown.pair, strict=True))
        file["sender_layers"] = np.array(shown.sender_layers, np.int64)
        file["originals"], file["generated"] = shown.originals, shown.generated

    hdf5.write(path, fill)


def read(path: Path | str, pair: Sequence[str]) -> Shown:
    """The images of a file that `write` wrote.

    Args:
        path: of the file.
        pair: objective, sender and receiver, of which they must be.

    Raises:
        ModelstitchError: if it is missing or damaged, a field holds what can't be, or they are of another pair.
    """
    with hdf5.opened(path, "file of generated images", "run the study again with --forcerun and this file") as file:
        for name, expected in zip(PAIR, pair, strict=True):
            if (found := file.attribute(name, str)) != expected:
                raise file.error(name, f"{found!r}: expected {expected!r}")
        originals = file.array("originals", np.uint8, (None,) * 4)
        layers = file.integers("sender_layers", (None,), -1, 2**20)
        generated = file.array("generated", np.uint8, (len(layers), *originals.shape))
        return Shown(tuple(pair), tuple(layers.tolist()), originals, generated)
