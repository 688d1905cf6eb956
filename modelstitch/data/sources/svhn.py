"""Street View House Numbers, the cropped digits, from the published files, read by torchvision (Netzer et al. 2011)."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from modelstitch.data import datasets
from modelstitch.data.sources import download
from modelstitch.errors import ModelstitchError

if TYPE_CHECKING:
    from torchvision.datasets import SVHN

SPLITS = ("train", "test")  # not `extra`, 531,131 easier images
CLASSES = tuple("0123456789")


def files(settings: dict) -> list[Path]:
    """Paths of the images' files, downloaded or not."""
    # Torchvision's own names, repeated because planning a study needs them, and importing torchvision takes seconds.
    return [Path(settings["folder"], f"{split}_32x32.mat") for split in SPLITS]


def archives(source: str) -> list[download.Archive]:
    """The published archives of `files`."""
    return [download.Archive(*reader_of().split_list[split]) for split in SPLITS]


def prepare(settings: dict, path: Path | str) -> None:
    """Write SVHN as a data set: 73,257 training and 26,032 test images (3, 32, 32).

    Raises:
        ModelstitchError: if a file can't be downloaded, or is not the published one.
    """
    source = settings["source"]
    for archive in archives(source):
        download.fetch(archive, settings["folder"])
    datasets.write(path, source, *read(reader_of(), settings["folder"]), CLASSES)


def reader_of() -> "type[SVHN]":
    """Torchvision's class: it knows addresses, checksums and the layout."""
    from torchvision.datasets import SVHN

    return SVHN


def read(reader: "type[SVHN]", folder: Path | str) -> tuple[datasets.Split, datasets.Split]:
    """Training and test images, in the order of the files; the digit 0, published as label 10, has label 0.

    Raises:
        ModelstitchError: if a file in `folder` is missing, has another MD5, or can't be read.
    """
    try:
        return tuple(_split(reader(folder, split=split)) for split in SPLITS)
    # A MATLAB file may hold anything, so SciPy may raise anything.
    except Exception as error:
        raise ModelstitchError(
            f"{folder}: not the files that torchvision's {reader.__name__} expects ({error}): replace them"
        ) from error


def _split(images: "SVHN") -> datasets.Split:
    return datasets.Split(np.ascontiguousarray(images.data), images.labels)
