"""Images that stitches made, beside their originals, as one HDF5 file for each ordered pair and objective."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from modelstitch import hdf5


class Shown(NamedTuple):
    """Some test images, and what the stitch of each sender layer makes of them, all uint8.

    Attributes:
        sender_layers: (S,).
        originals: (images, C, H, W).
        generated: (S, images, C, H, W).
    """

    sender_layers: tuple[int, ...]
    originals: np.ndarray
    generated: np.ndarray


def write(path: Path | str, shown: Shown) -> None:
    """Write images as HDF5: `sender_layers`, `originals` and `generated`.

    Raises:
        ModelstitchError: if the file can't be written.
    """
    arrays = shown._asdict() | {"sender_layers": np.array(shown.sender_layers, np.int64)}
    hdf5.write(path, lambda file: file.update(arrays))


def read(path: Path | str) -> Shown:
    """The images of a file that `write` wrote.

    Raises:
        ModelstitchError: if it is missing or damaged, or a field holds what can't be.
    """
    with hdf5.opened(path, "file of generated images", "run the study again with --forcerun and this file") as file:
        originals = file.array("originals", np.uint8, (None,) * 4)
        layers = file.integers("sender_layers", (None,), -1, 2**20)
        generated = file.array("generated", np.uint8, (len(layers), *originals.shape))
        return Shown(tuple(layers.tolist()), originals, generated)
