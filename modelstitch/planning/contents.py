"""Digests of files, kept on disk so that a large file is read once and not at every command."""

import hashlib
from pathlib import Path

from modelstitch.files import replacing


def digest_of_file(file: Path | str, kept: Path) -> str:
    """SHA-256 of a file, "" if it does not exist; the file is read again only if its path, size or time changed.

    Args:
        file: the file to read.
        kept: folder in which digests are kept.

    Raises:
        ModelstitchError: if the digest can't be kept.
    """
    file = Path(file)
    if not file.is_file():
        return ""
    status = file.stat()
    key = hashlib.sha256(f"{file.absolute()}\0{status.st_size}\0{status.st_mtime_ns}".encode()).hexdigest()[:32]
    place = kept / f"{key}.sha256"
    if place.is_file() and len(known := place.read_text()) == 64:
        return known
    with open(file, "rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    with replacing(place) as temporary:
        temporary.write_text(digest)
    return digest
