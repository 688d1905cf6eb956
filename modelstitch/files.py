"""Files that are either whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from modelstitch.errors import ModelstitchError


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
