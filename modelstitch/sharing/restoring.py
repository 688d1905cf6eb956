"""Restores a study from its archive, checked file by file, as a whole or not at all; anybody may have made it."""

import hashlib
import os
import re
import shutil
import stat
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from modelstitch import progress
from modelstitch.config.text import check_file
from modelstitch.errors import ModelstitchError, first_line, printable
from modelstitch.files import replacing
from modelstitch.sharing import account, crate, snapshot
from modelstitch.sharing.archive import CHUNK_BYTES, is_plain

LINE = re.compile(r"([0-9a-f]{64})  (.+)")
STUDY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
LONGEST = 2**28  # bytes of the list of checksums: those of a million files
MOST_UNPACKED = 200  # times the archive's own size; texts of a study get 4 to 30 times as large
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError)


def restore(path: Path | str, checkout: Path | str = ".") -> list[str]:
    """Restore a study from its archive as `results/<study>`, and return lines about it for the user.

    Its config becomes `config/<study>.yaml` unless there is a file of that name. Nothing from the archive is executed.

    Args:
        path: path of the archive.
        checkout: the folder in which `results/` is, or will be made.

    Raises:
        ModelstitchError: if there is no such archive, it is damaged or refused, a study of that name exists, or the
            disk is full; nothing is left behind then.
    """
    path, checkout = Path(path), Path(checkout)
    results = checkout / "results"
    beside = results / f".{os.getpid()}.part"
    with _told(path), open(path, "rb") as file, zipfile.ZipFile(file) as archive:
        digests = _checked(archive, path.stat().st_size)
        try:
            results.mkdir(parents=True, exist_ok=True)
            beside.mkdir()
            _check_room(archive, results)
            # First what tells the study's name.
            _unpack(archive, snapshot.CONFIG, digests, beside)
            study = _name_of(beside / snapshot.CONFIG, path)
            if (results / study).exists():
                raise ModelstitchError(f"{results / study}: is there already: move it, or remove it")
            names = [name for name in digests if name not in (snapshot.CONFIG, crate.METADATA)]
            for name in progress.track(names, f"{study} from {path}"):
                _unpack(archive, name, digests, beside)
            told = _account_of(beside)
            _give_one_time(beside)
            os.rename(beside, results / study)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return [f"{results / study}: {len(digests):,} files", *_next_steps(checkout, results / study, told)]


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """A context that turns any failure of unpacking into an error of one line."""
    try:
        yield
    except OSError as error:
        if isinstance(error, FileNotFoundError) and error.filename == str(path):
            raise ModelstitchError(f"{path}: no such file: expected an archive of a study") from error
        place = f" ({error.filename})" if error.filename not in (None, str(path)) else ""
        raise ModelstitchError(
            f"{path}: can't be restored: {error.strerror or error}{place}: nothing was kept"
        ) from error
    except DAMAGE as error:
        reason = printable(first_line(error))
        raise ModelstitchError(f"{path}: not a whole archive of a study ({reason}): nothing was restored") from error


def _checked(archive: zipfile.ZipFile, size: int) -> dict[str, str]:
    """SHA-256 of each file by name, after checking that the archive holds only what a study may hold."""
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if crate.CHECKSUMS not in names:
        raise ValueError(f"it has no {crate.CHECKSUMS}")
    if archive.getinfo(crate.CHECKSUMS).file_size > LONGEST:
        raise ValueError(f"{crate.CHECKSUMS} is longer than any study's")
    for entry in entries:
        if not is_plain(entry.filename):
            raise ValueError(f"{entry.filename}: not a name of a file in a study's folder")
        if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
            raise ValueError(f"{entry.filename}: a link, or no file")
    if sum(entry.file_size for entry in entries) > MOST_UNPACKED * size:
        raise ValueError(f"it would be more than {MOST_UNPACKED} times as large on the disk")
    matches = [LINE.fullmatch(line) for line in archive.read(crate.CHECKSUMS).decode().removesuffix("\n").split("\n")]
    if not all(matches):
        raise ValueError(f"{crate.CHECKSUMS}: expected a SHA-256, two spaces and a name in each line")
    digests = {match[2]: match[1] for match in matches}
    if sorted(names) != sorted([*digests, crate.CHECKSUMS]):
        odd = sorted({*names} ^ {*digests, crate.CHECKSUMS} or {name for name in names if names.count(name) > 1})
        raise ValueError(f"{odd[0]}: {crate.CHECKSUMS} has another list of files")
    if missing := {snapshot.CONFIG, account.NAME, crate.METADATA} - digests.keys():
        raise ValueError(f"it has no {min(missing)}")
    return digests


def _check_room(archive: zipfile.ZipFile, folder: Path) -> None:
    needed, free = sum(entry.file_size for entry in archive.infolist()), shutil.disk_usage(folder).free
    if needed > free:
        raise ModelstitchError(f"{folder}: {needed:,} bytes are needed, {free:,} are free: free space")


def _unpack(archive: zipfile.ZipFile, name: str, digests: dict[str, str], folder: Path) -> None:
    """Write one file, which must not exist yet, and check its SHA-256."""
    place, digest = folder / name, hashlib.sha256()
    place.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(name) as content, open(place, "xb") as file:
        while block := content.read(CHUNK_BYTES):
            digest.update(block)
            file.write(block)
    if digest.hexdigest() != digests[name]:
        raise ValueError(f"{name}: its SHA-256 is not the one it was archived with")


def _name_of(config: Path, archive: Path) -> str:
    """The study's name in its config."""
    check_file(config, f"{archive}: {snapshot.CONFIG}")
    name = yaml.safe_load(config.read_text(encoding="utf-8")).get("study")
    if not isinstance(name, str) or not STUDY.fullmatch(name):
        raise ValueError(f"{snapshot.CONFIG}: study {name!r}: not a study's name")
    return name


def _account_of(folder: Path) -> account.Account:
    try:
        return account.read(folder / account.NAME)
    except ModelstitchError as error:
        raise ValueError(str(error).removeprefix(f"{folder}/")) from error


def _give_one_time(folder: Path) -> None:
    """Give all files one time, so that none is newer than the files made from it."""
    now = time.time_ns()
    for place, _, names in os.walk(folder):
        for name in names:
            os.utime(Path(place, name), ns=(now, now))


def _next_steps(checkout: Path, study: Path, told: account.Account) -> Iterator[str]:
    config, own = checkout / "config" / f"{study.name}.yaml", (study / snapshot.CONFIG).read_bytes()
    if config.parent.is_dir() and not config.exists():
        with replacing(config) as temporary:
            temporary.write_bytes(own)
    if not (config.is_file() and config.read_bytes() == own):
        config = study / snapshot.CONFIG
    for maker in told.makers():
        commit = f", commit {maker['commit']}" if maker["commit"] else ""
        yield f"made by modelstitch {maker['versions'].get('modelstitch')}{commit}"
    for file in sorted((study / snapshot.FOLDER).rglob("*.py")):
        yield f"{file}: a network's code: read it, and copy it to where the config names it"
    yield f"what is stale here: snakemake -n --configfile {config}"
