"""Digests of files, kept on disk so that a large file is read once and not at every command."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from modelstitch.errors import ModelstitchError, printable
from modelstitch.files import replacing
from modelstitch.progress import track


def digest_of_file(file: Path | str, kept: Path) -> str:
    """SHA-256 of a file, "" if it does not exist; the file is read again only if its path, size or time changed.

    Args:
        file: the file to read.
        kept: folder in which digests are kept.

    Raises:
        ModelstitchError: if the file can't be read, or the digest can't be kept.
    """
    file = Path(file)
    if not file.is_file():
        return ""
    status = file.stat()
    key = hashlib.sha256(f"{file.absolute()}\0{status.st_size}\0{status.st_mtime_ns}".encode()).hexdigest()[:32]
    place = kept / f"{key}.sha256"
    if place.is_file() and len(known := place.read_text()) == 64:
        return known
    digest = _sha256(file)
    with replacing(place) as temporary:
        temporary.write_text(digest)
    return digest


def digest_of_folder(folder: Path | str, names: Iterable[str], kept: Path) -> str:
    """SHA-256 of the names and contents of a folder's files; read again are those of which size or time changed.

    Args:
        folder: whose files count.
        names: of the files, as they lie in it.
        kept: folder where digests are kept.

    Raises:
        ModelstitchError: if a file can't be read, or the digests can't be kept.
    """
    folder = Path(folder).absolute()
    place = kept / f"{hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]}.json"
    known, found = _known(place), {}
    for name in track(sorted(names), f"{printable(str(folder))}: images looked at"):
        path = os.path.join(folder, name)
        try:
            status = os.stat(path)
        except OSError as error:
            raise ModelstitchError(f"{printable(str(path))}: can't be read: {error.strerror}") from error
        state = [status.st_size, status.st_mtime_ns]
        *before, digest = known.get(name, [""])
        found[name] = [*state, digest if before == state else _sha256(path)]
    if found != known:
        with replacing(place) as temporary:
            temporary.write_text(json.dumps(found))
    lines = (f"{name}\0{digest}\n" for name, (*_, digest) in found.items())
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def _sha256(path: Path | str) -> str:
    try:
        with open(path, "rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise ModelstitchError(f"{printable(str(path))}: can't be read: {error.strerror}") from error


def _known(place: Path) -> dict[str, list]:
    """What `digest_of_folder` kept; nothing where that can't be read."""
    try:
        known = json.loads(place.read_text())
        return {name: [int(size), int(time), str(digest)] for name, (size, time, digest) in known.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
