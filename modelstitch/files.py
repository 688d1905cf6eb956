"""Files that are either whole or not there, and may be kept for a job that would make them again; JSON of numbers."""

import glob
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from modelstitch.errors import ModelstitchError

KEPT = ".kept"


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; move it over `path` once the block has written it.

    The folder is made where it is missing. If the block fails, or the process is killed, `path` is what it was before.

    Raises:
        ModelstitchError: if the file can't be written (full disk, read-only folder), naming `path`.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        # h5py's own text has several lines.
        reason = os.strerror(error.errno) if error.errno else error
        raise ModelstitchError(f"{path}: can't be written: {reason}: nothing was kept") from error
    finally:
        with suppress(OSError):  # a read-only folder: there is nothing to remove
            temporary.unlink(missing_ok=True)


def parse_json(text: str) -> Any:
    """The value of a JSON text, numbers finite.

    Raises:
        ValueError: if it is none, has NaN or infinite numbers, or is nested too deeply.
    """

    def number(word: str) -> float:
        if not math.isfinite(value := float(word)):
            raise ValueError(f"{word}: expected a finite number")
        return value

    try:
        return json.loads(text, parse_float=number, parse_constant=number)
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error


def to_json(values: Any, **layout: Any) -> str:
    """JSON that `parse_json` reads, with null for a number that is not finite."""

    def finite(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: finite(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [finite(item) for item in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(finite(values), allow_nan=False, **layout)


def keep(paths: Sequence[Path | str], maker: str) -> None:
    """Give whole files a second, hidden name each, by which `bring_back` finds them after they were deleted.

    It takes no room while the file is there. A file system without hard links keeps nothing.

    Args:
        paths: what one job has made.
        maker: what the job depends on, as a word for file names.
    """
    for path in map(Path, paths):
        forget(path)
        with suppress(OSError):
            os.link(path, path.with_name(f".{path.name}.{maker}.{_digest(path)}{KEPT}"))


def bring_back(paths: Sequence[Path | str], maker: str) -> bool:
    """Put files back that `keep` kept, if all are there and as they were; whether it did."""
    found = {path: _kept(path, maker) for path in map(Path, paths)}
    if not found or not all(found.values()):
        return False
    for path, kept in found.items():
        path.unlink(missing_ok=True)
        os.link(kept, path)
    return True


def forget(path: Path | str) -> None:
    """Remove what `keep` kept of a file."""
    for kept in Path(path).parent.glob(f".{glob.escape(Path(path).name)}.*{KEPT}"):
        with suppress(OSError):
            kept.unlink()


def _kept(path: Path, maker: str) -> Path | None:
    for kept in path.parent.glob(f".{glob.escape(path.name)}.{maker}.*{KEPT}"):
        if kept.name.endswith(f".{_digest(kept)}{KEPT}"):
            return kept
    return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
