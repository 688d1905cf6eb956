"""STL-10's labelled images from the published archive, read by torchvision (Coates et al. 2011)."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from modelstitch.data import datasets
from modelstitch.data.sources import download
from modelstitch.errors import ModelstitchError

if TYPE_CHECKING:
    from torchvision.datasets import STL10

# Torchvision's own name, repeated because planning a study needs it, and importing torchvision takes seconds.
FILENAME = "stl10_binary.tar.gz"
UNLABELLED = "unlabeled_X.bin"


def files(settings: dict) -> list[Path]:
    """The path of the archive, downloaded or not."""
    return [Path(settings["folder"], FILENAME)]


def archives(source: str) -> list[download.Archive]:
    """The published archives of `files`."""
    return [archive_of(reader_of())]


def prepare(settings: dict, path: Path | str) -> None:
    """Write STL-10 as a data set: 5,000 training and 8,000 test images (3, 96, 96).

    Raises:
        ModelstitchError: if the archive can't be downloaded, or is not the published one.
    """
    reader = reader_of()
    train, test, classes = read(reader, download.fetch(archive_of(reader), settings["folder"]))
    datasets.write(path, settings["source"], train, test, classes)


def reader_of() -> "type[STL10]":
    """Torchvision's class, changed so that it does not check the 100,000 images without labels (2.6 GB)."""
    from torchvision.datasets import STL10

    labelled = [entry for entry in STL10.train_list if entry[0] != UNLABELLED]
    return type("STL10", (STL10,), {"train_list": labelled})


def archive_of(reader: "type[STL10]") -> download.Archive:
    """The archive that a torchvision reader expects."""
    return download.Archive(url=reader.url, filename=reader.filename, md5=reader.tgz_md5)


def read(reader: "type[STL10]", archive: Path) -> tuple[datasets.Split, datasets.Split, tuple[str, ...]]:
    """Training images, test images and class names, in the archive's order.

    Raises:
        ModelstitchError: if a file is missing in the archive or has another MD5.
    """
    names = [name for name, _ in reader.train_list + reader.test_list] + [reader.class_names_file]
    with tempfile.TemporaryDirectory(prefix="modelstitch-") as folder:
        download.unpack(archive, [f"{reader.base_folder}/{name}" for name in names], folder)
        try:
            train, test = reader(folder, split="train"), reader(folder, split="test")
        except (RuntimeError, ValueError) as error:
            raise ModelstitchError(
                f"{archive}: a file in it is not what torchvision's {reader.__name__} expects ({error}): "
                "replace the archive"
            ) from error
    return _split(train), _split(test), tuple(train.classes)


def _split(images: "STL10") -> datasets.Split:
    return datasets.Split(np.ascontiguousarray(images.data), images.labels.astype(np.int64))
