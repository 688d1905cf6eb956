"""Files that are kept for a job that would make them again: Snakemake deletes a job's outputs before it starts."""

import glob
import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

KEPT = ".kept"


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
