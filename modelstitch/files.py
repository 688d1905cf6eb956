"""Files that are written whole or not at all, errors of opening apart from damage, and JSON of numbers."""

import fcntl
import json
import math
import os
import pwd
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from safetensors import SafetensorError

from modelstitch.errors import ModelstitchError


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`, and move it to `path` once the block has written it.

    A missing folder is made. Permissions follow the user's umask, whichever library writes the file (safetensors alone
    would let nobody else read it). If the block fails, or the process is killed, `path` is unchanged.

    Raises:
        ModelstitchError: if the file can't be written (full disk, read-only folder), naming `path`.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        mode = temporary.stat().st_mode
        temporary.unlink()
        yield temporary
        temporary.chmod(mode)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        # h5py's own text has several lines.
        reason = os.strerror(error.errno) if error.errno else error
        raise ModelstitchError(f"{path}: can't be written: {reason}: nothing was kept") from error
    except SafetensorError as error:
        raise ModelstitchError(f"{path}: can't be written: {error}: nothing was kept") from error
    finally:
        with suppress(OSError):  # a read-only folder: there is nothing to remove
            temporary.unlink(missing_ok=True)


@contextmanager
def opened(path: Path | str, what: str) -> Iterator[BinaryIO]:
    """Open a file for reading; a reason why it can't be opened is told as such, and not as damage.

    Args:
        path: path of the file.
        what: what the file is, for errors: `network`.

    Raises:
        ModelstitchError: if the file is missing or a folder, can't be opened (permissions, too many open files, a disk
            that fails), or is locked by a program that writes it.
    """
    try:
        raw = open(path, "rb")  # noqa: SIM115
    except FileNotFoundError as error:
        raise ModelstitchError(f"{path}: no such file: expected a {what}") from error
    except IsADirectoryError as error:
        raise ModelstitchError(f"{path}: is no {what}: is a folder") from error
    except OSError as error:
        advice = _owner(path) if isinstance(error, PermissionError) else ""
        raise ModelstitchError(f"{path}: can't be opened: {error.strerror}{advice}") from error
    with raw:
        try:
            fcntl.flock(raw, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ModelstitchError(
                f"{path}: another program has it open and locked, a notebook perhaps: close it there"
            ) from error
        except OSError:
            pass  # a file system without locks
        yield raw


def _owner(path: Path | str) -> str:
    """The owner of a file, who can permit others to read it."""
    try:
        owner = os.stat(path).st_uid
        if owner == os.geteuid():
            return ": give yourself read permission"
        return f": it belongs to {pwd.getpwuid(owner).pw_name}, who may give read permission"
    except OSError:
        return ""
    except KeyError:
        return f": it belongs to user {owner}, who may give read permission"


def parse_json(text: str) -> Any:
    """The value of a JSON text with finite numbers.

    Raises:
        ValueError: if it is no JSON, has NaN or infinite numbers, or is nested too deeply.
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
    """JSON for `parse_json`, with null for numbers that are not finite."""

    def finite(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: finite(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [finite(item) for item in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(finite(values), allow_nan=False, **layout)
