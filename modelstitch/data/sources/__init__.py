"""Where images come from: every source is converted to one data set file (`modelstitch.data.datasets`).

`settings` is the study's `dataset` section: `{"source": "digits"}`, `{"source": "cifar10", "folder": "data"}`,
`{"source": "imagefolder", "path": "images.tar.xz", "resize": None}`.
"""

from pathlib import Path

from modelstitch.data.sources import cifar, digits, download, imagefolder, members, mnist, photo_digits, stl10, svhn

# Sources made from images that ship with scikit-learn. Each module has `prepare`.
EMBEDDED = {"digits": digits, "photo-digits": photo_digits}
# Published data sets. Each module has `files` (their paths), `archives` (addresses and checksums) and `prepare`.
PUBLISHED = {
    "cifar10": cifar,
    "cifar100": cifar,
    "svhn": svhn,
    "mnist": mnist,
    "fashion-mnist": mnist,
    "stl10": stl10,
}


def prepare(settings: dict, path: Path | str) -> None:
    """Make the data set file at `path` from the source in `settings`.

    Raises:
        ModelstitchError: if the source is missing, damaged or refused; the file at `path` is then not changed.
    """
    match settings["source"]:
        case source if source in EMBEDDED:
            EMBEDDED[source].prepare(path)
        case "imagefolder":
            imagefolder.prepare(settings["path"], path, settings.get("resize"))
        case source:
            PUBLISHED[source].prepare(settings, path)


def check(settings: dict) -> None:
    """Check that the user's own folder or archive of images exists, without reading it.

    Raises:
        ModelstitchError: if it does not exist, as in `prepare`.
    """
    if settings["source"] == "imagefolder":
        members.check(Path(settings["path"]))


def published_files(settings: dict) -> list[Path]:
    """Paths of a published source's files, downloaded or not; empty for all other sources."""
    source = settings["source"]
    return PUBLISHED[source].files(settings) if source in PUBLISHED else []


def fetch(settings: dict, file: Path | str) -> None:
    """Download one of the `published_files` unless it is there, and verify it.

    Raises:
        ModelstitchError: see `download.fetch`.
    """
    file = Path(file)
    archives = PUBLISHED[settings["source"]].archives(settings["source"])
    (archive,) = (archive for archive in archives if archive.filename == file.name)
    download.fetch(archive, file.parent)


def input_files(settings: dict) -> list[Path]:
    """Files from which the data set is made; empty for embedded sources, and for a folder (see `files_of_folder`)."""
    if settings["source"] == "imagefolder" and not Path(settings["path"]).is_dir():
        return [Path(settings["path"])]
    return published_files(settings)


def glance(settings: dict) -> imagefolder.Glance | None:
    """Sizes of an image folder, see `imagefolder.glance`; None for all other sources, or if no image can be read."""
    return imagefolder.glance(settings["path"], settings.get("resize")) if settings["source"] == "imagefolder" else None


def files_of_folder(settings: dict) -> list[str]:
    """Names of the files in a folder of images; empty for all other sources."""
    if settings["source"] == "imagefolder" and Path(settings["path"]).is_dir():
        return imagefolder.files(settings["path"])
    return []
