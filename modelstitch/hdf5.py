"""HDF5 files with a checksum, and readers that refuse any field that is not as expected.

The file begins with a block that HDF5 ignores (its user block), which holds a SHA-256 of the rest. A flipped bit
anywhere, in numbers, attributes or HDF5's own structures, is found before HDF5 reads it.
"""

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from modelstitch import files
from modelstitch.errors import ModelstitchError, first_line
from modelstitch.files import parse_json, replacing

BLOCK = 512  # the smallest user block
MARK = b"modelstitch sha256 "
# Texts in a field, and bytes of all of them at the length of the longest: far more than names or reasons need.
MOST_TEXTS, LONGEST = 2**20, 2**26
IN_MEMORY = 2**24  # bytes; a file up to this size is read at once, which is faster than in parts by HDF5
# How far data may be compressed: deflate reaches at most 1,032 to 1.
COMPRESSION = 1100


def write(path: Path | str, fill: Callable[[h5py.File], None]) -> None:
    """Write a file that `fill` fills with content.

    It is made in memory first, since HDF5 is not reliable when a disk is full.

    Raises:
        ModelstitchError: if the file can't be written.
    """
    with h5py.File(Path(path).name, "w", driver="core", backing_store=False) as file:
        fill(file)
        file.flush()
        image = file.id.get_file_image()
    with replacing(path) as temporary, open(temporary, "wb") as raw:
        raw.write(_block(hashlib.sha256(image)))
        raw.write(image)


def write_large(path: Path | str, fill: Callable[[h5py.File], None]) -> None:
    """As `write`, for a file that is too large to be made in memory.

    Raises:
        ModelstitchError: if the file can't be written.
    """
    with replacing(path) as temporary:
        # No lock is needed, since no other program opens the temporary file; and some file systems have none.
        with h5py.File(temporary, "w", userblock_size=BLOCK, locking=False) as file:
            fill(file)
        seal(temporary)


def texts(values: Sequence[str]) -> np.ndarray:
    """Texts as `Fields.texts` reads them: UTF-8, padded to the length of the longest."""
    encoded = [value.encode() for value in values]
    return np.array(encoded, h5py.string_dtype("utf-8", max(map(len, encoded), default=0) or 1))


def seal(path: Path | str) -> None:
    """Write the digest of a file's content into its user block."""
    with open(path, "r+b") as raw:
        block = _block(_digest(raw))
        raw.seek(0)
        raw.write(block)


def _block(digest: Any) -> bytes:
    return (MARK + digest.hexdigest().encode() + b"\n").ljust(BLOCK, b"\0")


def _digest(raw: BinaryIO) -> Any:
    raw.seek(BLOCK)
    return hashlib.file_digest(raw, "sha256")


@contextmanager
def opened(path: Path | str, what: str, advice: str, verified: bool = True) -> Iterator["Fields"]:
    """A context with the fields of a file that `write` or `write_large` wrote.

    Args:
        path: the file.
        what: the kind of file, for errors, such as `record of modelstitch`.
        advice: what to do if it is damaged, for errors.
        verified: whether to check the digest, which reads the whole file.

    Raises:
        ModelstitchError: if the file can't be opened, is of another kind or damaged, or if HDF5 fails to read it within
            the context.
    """
    with files.opened(path, what) as raw:
        try:
            block, size = raw.read(BLOCK), os.fstat(raw.fileno()).st_size
            if not block.startswith(MARK):
                raise ModelstitchError(f"{path}: is no {what}, or a damaged one: {advice}")
            image = raw.read() if verified and size <= IN_MEMORY else None
            if verified and block != _block(_digest(raw) if image is None else hashlib.sha256(image)):
                raise ModelstitchError(
                    f"{path}: is no {what}, or a damaged one (its SHA-256 is not the one it was written with): {advice}"
                )
            with h5py.File(raw, "r") if image is None else h5py.File(h5py.h5f.open_file_image(image)) as file:
                yield Fields(file, path, size, advice)
        except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, MemoryError) as error:
            raise ModelstitchError(f"{path}: is no {what}, or a damaged one ({first_line(error)}): {advice}") from error


class Fields:
    """The fields of a group in a file. Each method reads one field, and refuses it if it is not as expected.

    Soft and external links, virtual and external storage, and arrays larger than the file can hold are refused, so that
    reading takes no more memory than a file of this size can need.
    """

    def __init__(self, group: h5py.Group, path: Path | str, size: int, advice: str) -> None:
        self._group, self._path, self._size, self._advice = group, path, size, advice

    def error(self, name: str, words: str) -> ModelstitchError:
        """An error about a field, which names the file and the field."""
        place = f"{self._group.name.strip('/')}/{name}".strip("/")
        return ModelstitchError(f"{self._path}: {place}: {words}: {self._advice}")

    def names(self) -> list[str]:
        """Names of the groups and arrays in this group."""
        return list(self._group)

    def group(self, name: str) -> "Fields":
        """The fields of a group within this one."""
        return Fields(self._member(name, h5py.Group, "a group"), self._path, self._size, self._advice)

    def shape(self, name: str, dtype: Any, shape: Sequence[int | None]) -> tuple[int, ...]:
        """The shape of an array of this type; sizes in `shape` that are not None must match."""
        return self._array(name, dtype, shape).shape

    def array(self, name: str, dtype: Any, shape: Sequence[int | None]) -> np.ndarray:
        """Read an array of this type; sizes in `shape` that are not None must match."""
        return self._read(name, self._array(name, dtype, shape))

    def one_of(self, name: str, dtypes: Sequence[type]) -> Any:
        """The type of an array, which must be one of these."""
        found = self._member(name, h5py.Dataset, "an array").dtype
        if found not in dtypes:
            raise self.error(name, f"is of type {found}: expected {' or '.join(each.__name__ for each in dtypes)}")
        return found

    def integers(self, name: str, shape: Sequence[int | None], low: int, high: int) -> np.ndarray:
        """Read an int64 array of numbers from `low` to `high`."""
        values = self.array(name, np.int64, shape)
        self.check_range(name, values, low, high)
        return values

    def check_range(self, name: str, values: np.ndarray, low: float, high: float) -> None:
        """Refuse values of a field below `low` or above `high`; NaN is allowed."""
        wrong = values[(values < low) | (values > high)]
        if wrong.size:
            raise self.error(name, f"{wrong.flat[0]}: expected {low} to {high}")

    def texts(self, name: str, shape: Sequence[int | None]) -> np.ndarray:
        """Read an array of texts, as `str`, of fixed length only: with any other, a small file may hold huge texts."""
        array = self._array(name, None, shape)
        kind = h5py.check_string_dtype(array.dtype)
        if kind is None or kind.length is None:
            found = array.dtype if kind is None else "text of variable length"
            raise self.error(name, f"is of type {found}: expected text of a fixed length")
        if array.size > MOST_TEXTS or array.size * kind.length > LONGEST:
            raise self.error(name, f"has {array.size} texts of {kind.length} bytes: expected names")
        return self._read(name, array.asstr())

    def attribute(self, name: str, kind: type | tuple[type, ...]) -> Any:
        """Read an attribute of this Python type: a number or a text."""
        if name not in self._group.attrs:
            raise self.error(name, "is missing")
        attribute = self._group.attrs.get_id(name)
        if attribute.shape != ():
            raise self.error(name, f"has shape {attribute.shape}: expected a single value")
        if attribute.dtype.kind not in "biuf" and h5py.check_string_dtype(attribute.dtype) is None:
            raise self.error(name, f"is of type {attribute.dtype}: expected a number or a text")
        value = self._group.attrs[name]
        value = value.item() if isinstance(value, np.generic) else value
        wanted = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            raise self.error(name, f"{str(value)[:80]!r}: expected {' or '.join(each.__name__ for each in wanted)}")
        return value

    def attributes(self) -> list[str]:
        """Names of the attributes."""
        return list(self._group.attrs)

    def json(self, name: str) -> dict[str, Any]:
        """Read an attribute that holds a mapping as JSON."""
        try:
            value = parse_json(self.attribute(name, str))
        except ValueError as error:
            raise self.error(name, f"is no JSON ({error})") from error
        if not isinstance(value, dict):
            raise self.error(name, f"is a {type(value).__name__}: expected a mapping")
        return value

    def _member(self, name: str, kind: type, words: str) -> Any:
        links, key = self._group.id.links, name.encode()
        if not links.exists(key):
            raise self.error(name, "is missing")
        if links.get_info(key).type != h5py.h5l.TYPE_HARD:
            raise self.error(name, f"is a link to elsewhere: expected {words}")
        found = self._group[name]
        if not isinstance(found, kind):
            raise self.error(name, f"is something else: expected {words}")
        return found

    def _array(self, name: str, dtype: Any, shape: Sequence[int | None]) -> h5py.Dataset:
        array = self._member(name, h5py.Dataset, "an array")
        if dtype is not None and array.dtype != dtype:
            raise self.error(name, f"is of type {array.dtype}: expected {np.dtype(dtype)}")
        found = array.shape or ()
        if len(found) != len(shape) or any(size not in (None, own) for size, own in zip(shape, found, strict=True)):
            expected = ", ".join("any" if size is None else str(size) for size in shape)
            raise self.error(name, f"has shape {found}: expected ({expected})")
        made = array.id.get_create_plist()
        if made.get_layout() == h5py.h5d.VIRTUAL or made.get_external_count():
            raise self.error(name, "is stored in another file: expected an array")
        stored = array.id.get_storage_size()
        held = stored * COMPRESSION if made.get_nfilters() else stored
        if stored > self._size or math.prod(found) * array.dtype.itemsize > held:
            raise self.error(name, f"has shape {found}, which {stored} bytes in the file can't hold")
        return array

    def _read(self, name: str, array: Any) -> np.ndarray:
        try:
            return array[()]
        except (OSError, RuntimeError, ValueError, MemoryError) as error:
            raise self.error(name, f"can't be read ({first_line(error)})") from error
