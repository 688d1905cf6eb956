"""Where images come from: each source becomes one data set file (`modelstitch.data.datasets`).

`settings` is the study's `dataset` section: `{"source": "digits"}`, `{"source": "cifar10", "folder": "data"}`,
`{"source": "imagefolder", "path": "images.tar.xz", "resize": None}`.
"""

from pathlib import Path

from modelstitch.data.sources import cifar, digits, download, imagefolder, members, mnist, photo_digits, stl10, svhn

# Made of what ships with scikit-learn: each has `prepare`.
EMBEDDED = {"digits": digits, "photo-digits": photo_digits}
# Each has `files` (where they belong), `archives` (what they are, as published) and `prepare`.
PUBLISHED = {
    "cifar10": cifar,
    "cifar100": cifar,
    "svhn": svhn,
    "mnist": mnist,
    "fashion-mnist": mnist,
    "stl10": stl10,
}


def prepare(settings: dict, path: Path | str) -> None:
    """Make the data set file at `path` from the source that `settings` name.

    Raises:
        ModelstitchError: if the source is missing, damaged or refused; `path` is then what it was before.
    """
    match settings["source"]:
        case source if source in EMBEDDED:
            EMBEDDED[source].prepare(path)
        case "imagefolder":
            imagefolder.prepare(settings["path"], path, settings.get("resize"))
        case source:
            PUBLISHED[source].prepare(settings, path)


def check(settings: dict) -> None:
    """Look, without reading any, whether the images of one's own are there.

    Raises:
        ModelstitchError: as `prepare` would, if they are not.
    """
    if settings["source"] == "imagefolder":
        members.check(Path(settings["path"]))


def published_files(settings: dict) -> list[Path]:
    """Files of a published source, there or not; none of embedded ones and of image folders."""
    source = settings["source"]
    return PUBLISHED[source].files(settings) if source in PUBLISHED else []


def fetch(settings: dict, file: Path | str) -> None:
    """Make one of the `published_files` be there, verified.

    Raises:
        ModelstitchError: see `download.fetch`.
    """
    file = Path(file)
    archives = PUBLISHED[settings["source"]].archives(settings["source"])
    (archive,) = (archive for archive in archives if archive.filename == file.name)
    download.fetch(archive, file.parent)


def input_files(settings: dict) -> list[Path]:
    """Files that the data set is made of: archives; nothing for embedded ones and for a folder (`files_of_folder`)."""
    if settings["source"] == "imagefolder" and not Path(settings["path"]).is_dir():
        return [Path(settings["path"])]
    return published_files(settings)


def glance(settings: dict) -> imagefolder.Glance | None:
    """Sizes of an image folder as far as they can be told at once; None for all other sources, and where they can't."""
    return imagefolder.glance(settings["path"], settings.get("resize")) if settings["source"] == "imagefolder" else None


def files_of_folder(settings: dict) -> list[str]:
    """Names of the files in a folder of images; none for all other sources."""
    if settings["source"] == "imagefolder" and Path(settings["path"]).is_dir():
        return imagefolder.files(settings["path"])
    return []
