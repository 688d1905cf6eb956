"""HDF5 files that say whether they are as they were written, and readers that take nothing but what they expect.

Before the HDF5 data stands a block that HDF5 itself passes over (its user block) with a SHA-256 of all that follows, so
that a flipped bit anywhere, in numbers, attributes or HDF5's own structure, is noticed before HDF5 reads it.
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
# Texts of a field, and bytes of all if each has the length of the longest: what is more is no names or reasons.
MOST_TEXTS, LONGEST = 2**20, 2**26
IN_MEMORY = 2**24  # bytes of a file that is read at once, which is faster than in parts by HDF5
# deflate makes at most 1,032 bytes of one.
COMPRESSION = 1100


def write(path: Path | str, fill: Callable[[h5py.File], None]) -> None:
    """Write what `fill` puts into an empty file, which is made in memory: HDF5 can't be trusted to survive a full disk.

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
    """The same of a file that is too large to be made in memory.

    Raises:
        ModelstitchError: if the file can't be written.
    """
    with replacing(path) as temporary:
        # No other program has a temporary file open, and some file systems have no locks.
        with h5py.File(temporary, "w", userblock_size=BLOCK, locking=False) as file:
            fill(file)
        seal(temporary)


def texts(values: Sequence[str]) -> np.ndarray:
    """Texts as `Fields.texts` reads them: UTF-8, each as long as the longest."""
    encoded = [value.encode() for value in values]
    return np.array(encoded, h5py.string_dtype("utf-8", max(map(len, encoded), default=0) or 1))


def seal(path: Path | str) -> None:
    """Put the digest into the user block of a file."""
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
    """The fields of a file that `write` or `write_large` wrote.

    Args:
        path: of the file.
        what: it is, for errors: `record of modelstitch`.
        advice: what to do about a damaged one, for errors.
        verified: whether its digest is checked, for which all of it is read.

    Raises:
        ModelstitchError: if the file can't be opened, is of another kind, isn't what was written, or, within the block,
            HDF5 can't read it.
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
    """A group of a file. Each of its readers takes one field, and refuses any that is not as it is asked for.

    Links to other files or other places, virtual and external storage, and sizes beyond those of the file are refused,
    so that no more memory is taken than a file of that size may hold.
    """

    def __init__(self, group: h5py.Group, path: Path | str, size: int, advice: str) -> None:
        self._group, self._path, self._size, self._advice = group, path, size, advice

    def error(self, name: str, words: str) -> ModelstitchError:
        """What is wrong with a field, told with the file and the field's name."""
        place = f"{self._group.name.strip('/')}/{name}".strip("/")
        return ModelstitchError(f"{self._path}: {place}: {words}: {self._advice}")

    def names(self) -> list[str]:
        """Names of groups and arrays."""
        return list(self._group)

    def group(self, name: str) -> "Fields":
        """A group within this one."""
        return Fields(self._member(name, h5py.Group, "a group"), self._path, self._size, self._advice)

    def shape(self, name: str, dtype: Any, shape: Sequence[int | None]) -> tuple[int, ...]:
        """The sizes of an array, of which those that are not None are known."""
        return self._array(name, dtype, shape).shape

    def array(self, name: str, dtype: Any, shape: Sequence[int | None]) -> np.ndarray:
        """An array of this type and these sizes, of which those that are None are whatever they are."""
        return self._read(name, self._array(name, dtype, shape))

    def one_of(self, name: str, dtypes: Sequence[type]) -> Any:
        """The type of an array, one of these."""
        found = self._member(name, h5py.Dataset, "an array").dtype
        if found not in dtypes:
            raise self.error(name, f"is of type {found}: expected {' or '.join(each.__name__ for each in dtypes)}")
        return found

    def integers(self, name: str, shape: Sequence[int | None], low: int, high: int) -> np.ndarray:
        """An int64 array of numbers from `low` to `high`."""
        values = self.array(name, np.int64, shape)
        self.check_range(name, values, low, high)
        return values

    def check_range(self, name: str, values: np.ndarray, low: float, high: float) -> None:
        """Refuse values of a field, NaN aside, that are below or above these."""
        wrong = values[(values < low) | (values > high)]
        if wrong.size:
            raise self.error(name, f"{wrong.flat[0]}: expected {low} to {high}")

    def texts(self, name: str, shape: Sequence[int | None]) -> np.ndarray:
        """An array of text, as Python has it. It is of a fixed length: any other may name one long text many times."""
        array = self._array(name, None, shape)
        kind = h5py.check_string_dtype(array.dtype)
        if kind is None or kind.length is None:
            found = array.dtype if kind is None else "text of variable length"
            raise self.error(name, f"is of type {found}: expected text of a fixed length")
        if array.size > MOST_TEXTS or array.size * kind.length > LONGEST:
            raise self.error(name, f"has {array.size} texts of {kind.length} bytes: expected names")
        return self._read(name, array.asstr())

    def attribute(self, name: str, kind: type | tuple[type, ...]) -> Any:
        """An attribute: a number or a text, as Python has them."""
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
        """An attribute that holds a mapping as JSON."""
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
