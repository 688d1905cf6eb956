"""MNIST and Fashion-MNIST from the published files, read by torchvision (LeCun et al. 1998; Xiao et al. 2017)."""

import gzip
import shutil
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from modelstitch.data import datasets
from modelstitch.data.sources import download
from modelstitch.errors import ModelstitchError

if TYPE_CHECKING:
    from torchvision.datasets import MNIST

# Torchvision's own names, repeated because planning a study needs them, and importing torchvision takes seconds.
# The two data sets have the same file names, so each has a folder of its own, the same as in torchvision.
FOLDERS = {"mnist": "MNIST/raw", "fashion-mnist": "FashionMNIST/raw"}
FILENAMES = tuple(f"{split}-{kind}-ubyte.gz" for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
DIGITS = tuple("0123456789")


def files(settings: dict) -> list[Path]:
    """Paths of images and labels, downloaded or not."""
    return [Path(settings["folder"], FOLDERS[settings["source"]], name) for name in FILENAMES]


def archives(source: str) -> list[download.Archive]:
    """The published archives of `files`."""
    reader = reader_of(source)
    return [download.Archive(f"{reader.mirrors[0]}{name}", name, md5) for name, md5 in reader.resources]


def prepare(settings: dict, path: Path | str) -> None:
    """Write MNIST or Fashion-MNIST as a data set: grayscale images (1, 28, 28).

    Raises:
        ModelstitchError: if a file can't be downloaded, or is not the published one.
    """
    source = settings["source"]
    folder = Path(settings["folder"], FOLDERS[source])
    for archive in archives(source):
        download.fetch(archive, folder)
    reader = reader_of(source)
    classes = DIGITS if source == "mnist" else tuple(reader.classes)
    datasets.write(path, source, *read(reader, folder), classes)


def reader_of(source: str) -> "type[MNIST]":
    """Torchvision's class for `mnist` or `fashion-mnist`: it knows addresses, checksums and the layout."""
    from torchvision.datasets import MNIST, FashionMNIST

    return {"mnist": MNIST, "fashion-mnist": FashionMNIST}[source]


def read(reader: "type[MNIST]", folder: Path | str) -> tuple[datasets.Split, datasets.Split]:
    """Training and test images from the compressed files in `folder`, in the order of the files.

    Raises:
        ModelstitchError: if one of them is damaged.
    """
    with tempfile.TemporaryDirectory(prefix="modelstitch-") as unpacked:
        raw = Path(unpacked, reader.__name__, "raw")
        raw.mkdir(parents=True)
        for name, _ in reader.resources:
            _unpack(Path(folder, name), raw / name.removesuffix(".gz"))
        try:
            return tuple(_split(reader(unpacked, train=train)) for train in (True, False))
        # Torchvision does not check lengths before it reads, so it may raise anything.
        except Exception as error:
            raise ModelstitchError(
                f"{folder}: not the files that torchvision's {reader.__name__} expects ({error}): replace them"
            ) from error


def _unpack(archive: Path, path: Path) -> None:
    try:
        with gzip.open(archive) as content, open(path, "wb") as file:
            shutil.copyfileobj(content, file)
    except (EOFError, OSError, zlib.error) as error:
        raise ModelstitchError(f"{archive}: can't be unpacked into {path.parent}: {error}") from error


def _split(images: "MNIST") -> datasets.Split:
    return datasets.Split(images.data.numpy()[:, None], images.targets.numpy().astype(np.int64))
