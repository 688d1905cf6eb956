"""Keeps finished files for a job that would make them again, since Snakemake deletes outputs before a job starts."""

import glob
import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

KEPT = ".kept"


def keep(paths: Sequence[Path | str], maker: str) -> None:
    """Give each file a second, hidden name (a hard link), by which `bring_back` finds it after it was deleted.

    It takes no space while the file exists. On a file system without hard links nothing is kept.

    Args:
        paths: all outputs of one job.
        maker: digest of what the job depends on, for the hidden names.
    """
    for path in map(Path, paths):
        forget(path)
        with suppress(OSError):
            os.link(path, path.with_name(f".{path.name}.{maker}.{_digest(path)}{KEPT}"))


def bring_back(paths: Sequence[Path | str], maker: str) -> bool:
    """Restore the files that `keep` kept if all of them are there and unchanged; return whether it did."""
    found = {path: _kept(path, maker) for path in map(Path, paths)}
    if not found or not all(found.values()):
        return False
    for path, kept in found.items():
        path.unlink(missing_ok=True)
        os.link(kept, path)
    return True


def forget(path: Path | str) -> None:
    """Remove the hidden name that `keep` gave a file."""
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
