"""CIFAR-10 and CIFAR-100 from the published archives, read by torchvision (Krizhevsky 2009)."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from modelstitch.data import datasets
from modelstitch.data.sources import download
from modelstitch.errors import ModelstitchError

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR10

# Torchvision's own names, repeated because planning a study needs them, and importing torchvision takes seconds.
FILENAMES = {"cifar10": "cifar-10-python.tar.gz", "cifar100": "cifar-100-python.tar.gz"}
EXTRACTED = {
    "cifar10": (
        "cifar-10-batches-py",
        (*(f"data_batch_{batch}" for batch in range(1, 6)), "test_batch", "batches.meta"),
    ),
    "cifar100": ("cifar-100-python", ("train", "test", "meta")),
}


def files(settings: dict) -> list[Path]:
    """The path of the archive; or those of its files, if these are all there, unpacked, and the archive is not."""
    folder, source = Path(settings["folder"]), settings["source"]
    archive, (name, batches) = folder / FILENAMES[source], EXTRACTED[source]
    extracted = [folder / name / batch for batch in batches]
    return extracted if not archive.exists() and all(map(Path.is_file, extracted)) else [archive]


def archives(source: str) -> list[download.Archive]:
    """The published archives of `files`."""
    return [archive_of(reader_of(source))]


def prepare(settings: dict, path: Path | str) -> None:
    """Write CIFAR-10 or CIFAR-100 (with its 100 fine labels) as a data set.

    Raises:
        ModelstitchError: if the archive can't be downloaded, or a part that is read is not as published.
    """
    reader = reader_of(settings["source"])
    if len(found := files(settings)) > 1:
        train, test, classes = read_extracted(reader, found[0].parents[1])
    else:
        train, test, classes = read(reader, download.fetch(archive_of(reader), settings["folder"]))
    datasets.write(path, settings["source"], train, test, classes)


def reader_of(source: str) -> "type[CIFAR10]":
    """Torchvision's class for `cifar10` or `cifar100`: it knows the address, the checksums and the layout."""
    from torchvision.datasets import CIFAR10, CIFAR100

    return {"cifar10": CIFAR10, "cifar100": CIFAR100}[source]


def archive_of(reader: "type[CIFAR10]") -> download.Archive:
    """The archive that a torchvision reader expects."""
    return download.Archive(url=reader.url, filename=reader.filename, md5=reader.tgz_md5)


def read(reader: "type[CIFAR10]", archive: Path) -> tuple[datasets.Split, datasets.Split, tuple[str, ...]]:
    """Training images, test images and class names, in the archive's order.

    The files that torchvision needs, and no others, are unpacked into a temporary folder.

    Raises:
        ModelstitchError: if a batch is missing or has another MD5.
    """
    with tempfile.TemporaryDirectory(prefix="modelstitch-") as folder:
        names = [name for name, _ in reader.train_list + reader.test_list] + [reader.meta["filename"]]
        download.unpack(archive, [f"{reader.base_folder}/{name}" for name in names], folder)
        return read_extracted(reader, folder, archive)


def read_extracted(
    reader: "type[CIFAR10]", folder: Path | str, source: Path | None = None
) -> tuple[datasets.Split, datasets.Split, tuple[str, ...]]:
    """As `read`, for an archive that is unpacked in `folder`.

    The batches are pickles, so each is opened only if its MD5 is right.

    Args:
        reader: torchvision's class.
        folder: the folder that contains the archive's top folder.
        source: where the batches come from, for errors, if not from that folder.

    Raises:
        ModelstitchError: if a batch is missing, has another MD5, or can't be read.
    """
    source = source or Path(folder, reader.base_folder)
    try:
        train, test = reader(folder, train=True), reader(folder, train=False)
    except OSError as error:
        raise ModelstitchError(f"{error.filename or source}: can't be read: {error.strerror or error}") from error
    except RuntimeError as error:
        raise ModelstitchError(
            f"{source}: a batch in it does not have the checksum that torchvision's {reader.__name__} expects: "
            "replace it"
        ) from error
    return _split(train), _split(test), tuple(train.classes)


def _split(images: "CIFAR10") -> datasets.Split:
    return datasets.Split(
        np.ascontiguousarray(images.data.transpose(0, 3, 1, 2)), np.asarray(images.targets, dtype=np.int64)
    )
