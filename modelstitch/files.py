"""Files that are either whole or not there, and what can't be opened told from what is damaged."""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from modelstitch.errors import ModelstitchError


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; move it over `path` once the block has written it.

    The folder is made where it is missing, and who may read the file is what the user's umask says, whoever writes it
    (safetensors lets nobody else). If the block fails, or the process is killed, `path` is what it was before.

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
def readable(path: Path | str) -> Iterator[None]:
    """Read a file in the block: what keeps it from being opened is no damage, and is told as what it is.

    Raises:
        ModelstitchError: if the file is there, but can't be opened (another's, too many files, a disk that fails), or
            another program has it open for writing and locked.
    """
    try:
        with open(path, "rb"):
            pass
    except (FileNotFoundError, IsADirectoryError):
        pass  # of which each reader says what is expected
    except OSError as error:
        advice = _owner(path) if isinstance(error, PermissionError) else ""
        raise ModelstitchError(f"{path}: can't be opened: {error.strerror}{advice}") from error
    try:
        yield
    except BlockingIOError as error:
        raise ModelstitchError(
            f"{path}: another program has it open and locked, a notebook perhaps: close it there; where the file "
            "system has no locks, set HDF5_USE_FILE_LOCKING=FALSE"
        ) from error


def _owner(path: Path | str) -> str:
    """Who may let the user read a file that is another's."""
    try:
        owner = os.stat(path).st_uid
        if owner == os.geteuid():
            return ": give yourself read permission"
        return f": it belongs to {pwd.getpwuid(owner).pw_name}, who may give read permission"
    except OSError:
        return ""
    except KeyError:
        return f": it belongs to user {owner}, who may give read permission"
