"""Where images come from: each source becomes one data set file (`modelstitch.data.datasets`).

`settings` is the study's `dataset` section: `{"source": "digits"}`, `{"source": "cifar10", "folder": "data"}`,
`{"source": "imagefolder", "path": "images.tar.xz"}`.
"""

from pathlib import Path

from modelstitch.data import datasets
from modelstitch.data.sources import cifar, digits, imagefolder


def prepare(settings: dict, path: Path | str) -> None:
    """Make the data set file at `path` from the source that `settings` name.

    Raises:
        ModelstitchError: if the source is missing, damaged or refused; `path` is then what it was before.
    """
    match settings["source"]:
        case "digits":
            digits.prepare(path)
        case "cifar10" | "cifar100":
            cifar.prepare(settings, path)
        case "imagefolder":
            imagefolder.prepare(settings["path"], path)


def input_files(settings: dict) -> list[Path]:
    """Files that the data set is made of: the archive; nothing for `digits` and for a folder (see `fingerprint`)."""
    match settings["source"]:
        case "cifar10" | "cifar100":
            return [cifar.archive_path(settings)]
        case "imagefolder" if not Path(settings["path"]).is_dir():
            return [Path(settings["path"])]
    return []


def glance(settings: dict) -> datasets.Sizes | None:
    """Sizes of an image folder as far as they can be told at once; None for all other sources, and where they can't."""
    return imagefolder.glance(settings["path"]) if settings["source"] == "imagefolder" else None


def fingerprint(settings: dict) -> str:
    """Digest of a folder's file names, sizes and times, which changes when a file does; "" for all other sources."""
    if settings["source"] == "imagefolder" and Path(settings["path"]).is_dir():
        return imagefolder.fingerprint(settings["path"])
    return ""
