"""Iterates over the members of a directory or an archive of images, without unpacking it to the disk.

Archives are not trusted: no header may claim more memory than an image needs. Links are followed only in a directory
that the user owns; a hard link in an archive stands for the file that it names.
"""

import bz2
import gzip
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

from modelstitch.errors import ModelstitchError, printable

MAX_BYTES = 2**26  # largest size of an image's file
# Errors of damaged archives that tarfile does not turn into its own: names that are no text, sizes that are no offsets,
# headers nested without end. For zipfile: a password, or an unknown compression method.
OTHER_DAMAGE = (EOFError, OSError, ValueError, OverflowError, RuntimeError)
CLUTTER = {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "#recycle", "$recycle.bin", "icon\r"}
DEEPEST = 6  # levels of a directory that are searched: one more than in any layout
LEFT_OUT = 2**20


class Member(NamedTuple):
    """A member of a directory or an archive.

    Attributes:
        kind: "file"; "folder"; "copy" for a hard link in an archive to the file `target`; or, in words, a kind that is
            refused.
    """

    name: str
    kind: str
    size: int
    read: Callable[[], bytes]
    target: str = ""


def members(source: Path) -> Iterator[Member]:
    """Yield members, in the order of the archive or directory listing. Read each before asking for the next.

    Raises:
        ModelstitchError: if there is no such directory or archive, or it is damaged or can't be read.
    """
    if source.is_dir():
        return _of_folder(source)
    check(source)
    return _of_zip(source) if suffix_of(source) == ".zip" else _of_tar(source)


def check(source: Path) -> None:
    """Check that the source exists, and is a directory or has the name of an archive, without opening it.

    Raises:
        ModelstitchError: if it does not.
    """
    if not source.exists():
        raise ModelstitchError(f"{source}: no such file or folder: expected images in train/<class>/ and test/<class>/")
    if not source.is_dir() and not suffix_of(source):
        raise ModelstitchError(f"{source}: expected a folder, or an archive named {', '.join(SUFFIXES)}")


def is_listed(source: Path) -> bool:
    """Whether the members can be listed without reading the whole source: true except for compressed tars."""
    return source.is_dir() or suffix_of(source) in (".tar", ".zip")


def suffix_of(source: Path) -> str:
    """The suffix of an archive's name, from `SUFFIXES`; "" if it has none of them."""
    return next((suffix for suffix in SUFFIXES if source.name.casefold().endswith(suffix)), "")


def is_clutter(parts: tuple[str, ...]) -> bool:
    """Whether a member is hidden, or one of the files that macOS, Windows or a Synology NAS leave behind."""
    return any(part.startswith(".") or part.casefold() in CLUTTER for part in parts)


def _of_folder(folder: Path) -> Iterator[Member]:
    status = folder.stat()
    return _walk(folder, "", [(status.st_dev, status.st_ino)], status.st_uid == os.geteuid())


def _walk(folder: Path, place: str, above: list[tuple[int, int]], own: bool) -> Iterator[Member]:
    try:
        with os.scandir(folder) as listing:
            entries = list(listing)
    except OSError as error:
        raise ModelstitchError(f"{printable(str(folder))}: can't be listed: {error.strerror}") from error
    for entry in entries:
        if is_clutter((entry.name,)):
            continue
        path, name = Path(entry.path), place + entry.name
        try:
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode) and own:
                status = entry.stat()
        except OSError as error:
            yield Member(name, f"link or file that can't be followed ({error.strerror})", 0, path.read_bytes)
            continue
        identity = (status.st_dev, status.st_ino)
        kinds = {stat.S_IFDIR: "folder", stat.S_IFREG: "file", stat.S_IFLNK: "link in a folder of another user"}
        kind = kinds.get(stat.S_IFMT(status.st_mode), "device")
        if kind == "folder" and identity in above:
            kind = "link back to a folder that it stands in"
        yield Member(name, kind, status.st_size, path.read_bytes)
        if kind == "folder" and len(above) < DEEPEST:
            yield from _walk(path, f"{name}/", [*above, identity], own)


def _of_tar(archive: Path) -> Iterator[Member]:
    """Yield the members of a tar, compressed or not.

    tarfile takes a damaged header for the end of the archive. So after the last member there must be a real end: only
    zeros, as tar writes them.
    """
    with _readable(archive), TARS[suffix_of(archive)](archive) as opened:
        stream = _Stream(opened)
        with tarfile.open(fileobj=stream, mode="r:") as tar:
            for member in tar:
                kind = "file" if member.isreg() else "folder" if member.isdir() else "device"
                kind = "link" if member.issym() else "copy" if member.islnk() else kind
                yield Member(
                    member.name, kind, member.size, partial(_of_tar_one, archive, tar, member), member.linkname
                )
                tar.members = []  # tarfile would keep all of them
        whole = stream.read(512) == bytes(512)
        while block := stream.read(LEFT_OUT):
            whole = whole and not block.strip(b"\0")
        if not whole:
            raise EOFError("it is cut short or damaged inside")


def _of_tar_one(archive: Path, tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    with _readable(archive):
        return tar.extractfile(member).read()


def _of_zip(archive: Path) -> Iterator[Member]:
    kinds = {0: "file", stat.S_IFREG: "file", stat.S_IFLNK: "link"}
    with _readable(archive), zipfile.ZipFile(archive) as opened:
        for member in sorted(opened.infolist(), key=lambda member: member.header_offset):
            kind = "folder" if member.is_dir() else kinds.get(stat.S_IFMT(member.external_attr >> 16), "device")
            read = partial(_of_zip_one, archive, opened, member)
            yield Member(_zip_name(member), kind, member.file_size, read)


def _of_zip_one(archive: Path, opened: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    with _readable(archive), opened.open(member) as content:
        return content.read(MAX_BYTES)


def _zip_name(member: zipfile.ZipInfo) -> str:
    """The member's name, read as UTF-8 even if the archive does not declare it, as those of macOS."""
    if not member.flag_bits & 0x800:
        try:
            return member.filename.encode("cp437").decode()
        except UnicodeError:
            pass
    return member.filename


@contextmanager
def _readable(archive: Path) -> Iterator[None]:
    """Turn any error of reading an archive into a `ModelstitchError`."""
    try:
        yield
    except PermissionError as error:
        raise ModelstitchError(f"{archive}: can't be opened: {error.strerror}") from error
    except (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, *OTHER_DAMAGE) as error:
        reason = printable(str(error))
        raise ModelstitchError(f"{archive}: not a whole archive ({reason}): refused, nothing was written") from error


class _Stream:
    """A stream that refuses to read more than an image's size at once, since tarfile trusts lengths in headers."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.place = stream, 0

    def tell(self) -> int:
        return self.place

    def seek(self, place: int) -> None:
        if self.stream.seekable():
            self.place = self.stream.seek(place)
            return
        while self.place < place and self.read(min(place - self.place, LEFT_OUT)):
            pass

    def read(self, size: int) -> bytes:
        if size > MAX_BYTES:
            raise ValueError(f"a header claims {size:,} bytes")
        block = self.stream.read(size)
        self.place += len(block)
        return block


def _open_zstandard(archive: Path) -> BinaryIO:
    import pyarrow  # takes some tenths of a second; installed anyway, for tables

    return pyarrow.input_stream(str(archive), compression="zstd")


TARS: dict[str, Callable[[Path], BinaryIO]] = {
    ".tar": partial(open, mode="rb"),
    ".tar.gz": gzip.open,
    ".tgz": gzip.open,
    ".tar.xz": lzma.open,
    ".txz": lzma.open,
    ".tar.bz2": bz2.open,
    ".tbz2": bz2.open,
    ".tar.zst": _open_zstandard,
    ".tzst": _open_zstandard,
}
SUFFIXES = (*TARS, ".zip")
