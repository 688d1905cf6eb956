"""A study as one zip: all its files, what made them, and the SHA-256 of each. `modelstitch.sharing.restoring` reads it.

Two archives of one folder are equal byte for byte: names are sorted, and times and permissions are left out.
"""

import hashlib
import os
import re
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from modelstitch import progress
from modelstitch.errors import ModelstitchError, printable
from modelstitch.files import replacing
from modelstitch.sharing import account, crate, snapshot
from modelstitch.sharing.account import Account

CHUNK_BYTES = 2**20
EPOCH = (1980, 1, 1, 0, 0, 0)  # where a zip's time begins
STAMP = ".snakemake_timestamp"  # the one hidden name: the time of a folder that is an output
UNFINISHED = (".checkpoint", ".part")
# What would hardly get smaller, and a data set, which takes a second for each 5 MB.
STORED = (".parquet", ".png", ".safetensors", "dataset.h5")
NOWHERE = re.compile(r'^/|[\\:*?"<>|]')  # in names of files, on some system
RECORDS = (".h5", ".safetensors")


def write(study: Path | str, path: Path | str | None = None) -> Path:
    """Write an archive of a study's folder, and return its path.

    Links are followed; hidden and unfinished files are left out.

    Args:
        study: the folder, `results/<study>`.
        path: path of the archive; by default `<study>.zip` in the working directory.

    Raises:
        ModelstitchError: if the folder is no study that was run, or holds a file whose making is not known, if the
            archive exists already, or if a file can't be read or written.
    """
    study = Path(study)
    path = Path(path or f"{study.absolute().name}.zip")
    if not study.is_dir():
        raise ModelstitchError(f"{study}: no such folder: expected results/<study>, which a run of the study makes")
    if path.exists():
        raise ModelstitchError(f"{path}: is there already: remove it, or name another file")
    names = sorted(_names(study))
    told = account.read(study / account.NAME)
    _check(study, names, told)
    digests = {}
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name in progress.track(names, f"archive of {study}"):
            digests[name] = _add_file(archive, study / name, name)
        description = crate.describe(study.absolute().name, [*names, crate.CHECKSUMS], told).encode()
        _add(archive, crate.METADATA, description)
        digests[crate.METADATA] = hashlib.sha256(description).hexdigest()
        lines = [f"{digest}  {name}\n" for name, digest in sorted(digests.items())]
        _add(archive, crate.CHECKSUMS, "".join(lines).encode())
    return path


def is_plain(name: str) -> bool:
    """Whether a file within a folder can have this name on every system."""
    parts = PurePosixPath(name).parts
    return name.isprintable() and not NOWHERE.search(name) and ".." not in parts and "/".join(parts) == name


def _names(study: Path) -> Iterator[str]:
    """Files of a study, by their paths in its folder."""
    seen = set()
    for place, folders, files in os.walk(study, followlinks=True, onerror=_unreadable):
        status = os.stat(place)
        if (status.st_dev, status.st_ino) in seen:
            raise ModelstitchError(f"{place}: a link to a folder of the study: remove it")
        seen.add((status.st_dev, status.st_ino))
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            hidden = name.startswith(".") and name != STAMP
            if not hidden and not name.endswith(UNFINISHED):
                yield Path(place, name).relative_to(study).as_posix()


def _unreadable(error: OSError) -> None:
    raise ModelstitchError(f"{error.filename}: can't be listed: {error.strerror}") from error


def _check(study: Path, names: list[str], told: Account) -> None:
    """Refuse what could not be restored."""
    for name in (account.NAME, snapshot.CONFIG, snapshot.LOCK):
        if name not in names:
            raise ModelstitchError(f"{study}: has no {name}, which the end of a run writes: run the study again")
    for name in (crate.METADATA, crate.CHECKSUMS):
        if name in names:
            raise ModelstitchError(f"{study / name}: an archive has one of its own: remove it")
    unknown = [name for name in names if name.endswith(RECORDS) and name not in told.lines]
    if unknown:
        raise ModelstitchError(
            f"{study}: {account.NAME} does not tell what made {len(unknown):,} of its files ({unknown[0]}): let "
            "the run come to its end, or run the study again"
        )
    if odd := [name for name in names if not is_plain(name)]:
        raise ModelstitchError(f"{study}: {printable(odd[0])}: not a name that other systems have: rename it")


def _add_file(archive: zipfile.ZipFile, file: Path, name: str) -> str:
    """Copy a file into the archive, and return its SHA-256."""
    digest = hashlib.sha256()
    try:
        with open(file, "rb") as content:
            info = _info(name, os.fstat(content.fileno()).st_size)
            with archive.open(info, "w") as entry:
                while block := content.read(CHUNK_BYTES):
                    digest.update(block)
                    entry.write(block)
    except PermissionError as error:
        raise ModelstitchError(f"{file}: can't be opened: {error.strerror}") from error
    except FileNotFoundError as error:
        raise ModelstitchError(f"{file}: is gone: let the run come to its end first") from error
    return digest.hexdigest()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(_info(name, len(content)), content)


def _info(name: str, size: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, EPOCH)
    info.file_size = size
    info.create_system, info.external_attr = 3, (stat.S_IFREG | 0o644) << 16
    info.compress_type = zipfile.ZIP_STORED if name.endswith(STORED) else zipfile.ZIP_DEFLATED
    return info
