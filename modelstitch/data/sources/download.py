"""Downloads published files: resumed where they stopped, verified by MD5, and put in place only when complete."""

import errno
import fcntl
import hashlib
import http
import http.client
import os
import shutil
import tarfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from modelstitch import progress
from modelstitch.errors import ModelstitchError

CHUNK_BYTES = 2**20
TIMEOUT_SECONDS = 30
# Errors of file systems without locks (Lustre, some NFS); the download then goes on without a lock.
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


@dataclass(frozen=True)
class Archive:
    """A published file: its address, its name, and its MD5 in hexadecimal."""

    url: str
    filename: str
    md5: str


def fetch(archive: Archive, folder: Path | str) -> Path:
    """Download the archive into `folder` unless it is there, verify it, and return its path.

    All bytes that have arrived are in `<filename>.part`. A dropped connection is resumed at once, a killed download at
    the next call, by an HTTP Range request.

    Raises:
        ModelstitchError: if the archive that is there is not the published one (it is left as it is); if it can't be
            downloaded (the message says where to put it by hand); or if the download has another MD5 (it is removed).
    """
    path = Path(folder) / archive.filename
    if path.exists():
        found = md5_of(path)
        if found != archive.md5:
            raise ModelstitchError(
                f"{path}: MD5 is {found}, expected {archive.md5}: not the published archive, "
                "remove it or replace it, and run again"
            )
        return path
    part = path.with_name(path.name + ".part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "ab") as file:
            _lock(file, path)
            try:
                while not _receive(archive, path, file):
                    pass
            finally:
                if os.fstat(file.fileno()).st_size == 0:
                    part.unlink()
            os.fsync(file.fileno())
            found = md5_of(part)
            if found != archive.md5:
                part.unlink()
                raise ModelstitchError(
                    f"{path}: what {archive.url} sent has MD5 {found}, expected {archive.md5}: it was removed, "
                    f"run again or {_by_hand(archive, path)}"
                )
            os.replace(part, path)
    except OSError as error:
        raise ModelstitchError(f"{path}: can't be written: {error.strerror or error}") from error
    return path


def unpack(archive: Path, names: Iterable[str], folder: Path | str) -> None:
    """Unpack only the members `names` of a `.tar.gz` into a folder.

    Raises:
        ModelstitchError: if the archive lacks one of them or is damaged, or the folder can't be written.
    """
    missing = set(names)
    try:
        with tarfile.open(archive, "r|gz") as tar:
            for member in tar:
                if member.name in missing and member.isreg():
                    path = Path(folder, member.name)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with tar.extractfile(member) as content, open(path, "wb") as file:
                        shutil.copyfileobj(content, file)
                    missing.remove(member.name)
                if not missing:
                    return
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ModelstitchError(f"{archive}: can't be unpacked into {folder}: {error}") from error
    raise ModelstitchError(f"{archive}: lacks {', '.join(sorted(missing))}: replace the archive")


def md5_of(path: Path | str) -> str:
    """MD5 of a file, in hexadecimal.

    Raises:
        ModelstitchError: if the file can't be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise ModelstitchError(f"{path}: can't be read: {error.strerror or error}") from error


def _lock(file: BinaryIO, path: Path) -> None:
    """Lock the file against a second download: the job of a killed run may still be writing to it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ModelstitchError(
            f"{path}: another process is downloading it: wait until it has ended, and run again"
        ) from error
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise


def _receive(archive: Archive, path: Path, file: BinaryIO) -> bool:
    """Append the response of one request to the file, and return whether the file is complete.

    Raises:
        ModelstitchError: if the server can't be reached, refuses, or sends nothing.
    """
    start = file.tell()
    headers = {"User-Agent": "modelstitch"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        response = urllib.request.urlopen(urllib.request.Request(archive.url, headers=headers), timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start:
            return True  # nothing is left to send; the checksum is compared next
        raise _unreachable(archive, path, f"HTTP {error.code} {error.reason}", start) from error
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(archive, path, getattr(error, "reason", error), start) from error
    with response:
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            file.truncate(0)
            start = 0
        expected = None if response.length is None else start + response.length
        progress.say(f"{path}: downloading {archive.url}" + (f" from byte {start:,}" if start else ""))
        chunks = None if response.length is None else -(-response.length // CHUNK_BYTES)
        arriving = _written(response, file)
        if chunks is not None:
            arriving = progress.track(arriving, f"{archive.filename} (MiB)", total=chunks)
        dropped = not all(arriving)
    size = file.seek(0, os.SEEK_END)
    if not dropped and (expected is None or size >= expected):
        return True
    if size == start:
        raise _unreachable(archive, path, "the connection drops", start)
    return False


def _written(response: http.client.HTTPResponse, file: BinaryIO) -> Iterator[bool]:
    """Write the response as it arrives; yield True for each MiB, and False if the connection drops before the end."""
    arrived = 0
    while True:
        try:
            chunk = response.read1(CHUNK_BYTES)
        except (OSError, http.client.HTTPException):
            yield False
            return
        if not chunk:
            return
        file.write(chunk)
        file.flush()
        arrived += len(chunk)
        if arrived >= CHUNK_BYTES:
            arrived -= CHUNK_BYTES
            yield True


def _unreachable(archive: Archive, path: Path, why: object, arrived: int) -> ModelstitchError:
    kept = f"{arrived:,} bytes are kept in {path.name}.part and a new run goes on from there" if arrived else ""
    return ModelstitchError(
        f"{path}: can't be downloaded from {archive.url} ({why}): {kept + '; or ' if kept else ''}"
        f"{_by_hand(archive, path)}, and run again"
    )


def _by_hand(archive: Archive, path: Path) -> str:
    return f"fetch that file where there is a network and put it at {path.absolute()} (MD5 {archive.md5})"
