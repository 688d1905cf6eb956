"""The account of a study: what made each of its results, in `provenance.jsonl.gz` beside them.

The first line has the account's id. Each other line has a `file` of the study's folder, Snakemake's own `record` of its
job, and `by`, the maker (`modelstitch.sharing.maker`), or null if it is not known.
"""

import gzip
import json
import os
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from modelstitch.errors import ModelstitchError, first_line, printable
from modelstitch.files import replacing

NAME = "provenance.jsonl.gz"
LONGEST, MOST = 2**26, 2**31  # bytes of a line, and of all: several times what 57,600 pairs take
DAMAGE = (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError)
SHOWN = 3  # of many inputs


@dataclass
class Account:
    """What made the results of a study.

    Attributes:
        identity: id that changes whenever the account is written; "" if there is no account.
        lines: `record` and `by` of each file, by its path in the study's folder.
    """

    identity: str = ""
    lines: dict[str, dict[str, Any]] = field(default_factory=dict)

    def makers(self) -> list[dict[str, Any]]:
        """All makers, each once; those that differ only in params count as one."""
        found = {}
        for line in self.lines.values():
            if line["by"]:
                maker = {name: value for name, value in line["by"].items() if name != "params"}
                found[json.dumps(maker, sort_keys=True)] = maker
        return [found[key] for key in sorted(found)]

    def times(self) -> tuple[float, float] | None:
        """Start of the first job and end of the last, in seconds since 1970; None if not known."""
        starts = [line["record"].get("starttime") for line in self.lines.values()]
        ends = [line["record"].get("endtime") for line in self.lines.values()]
        starts, ends = ([one for one in some if isinstance(one, int | float)] for some in (starts, ends))
        return (min(starts), max(ends)) if starts and ends else None


def read(path: Path | str, identity_alone: bool = False) -> Account:
    """Read the account of a study; it is empty if there is none.

    Args:
        path: path of the file.
        identity_alone: whether to read only the first line, which takes no time.

    Raises:
        ModelstitchError: if it is damaged, or names files outside the study.
    """
    account, total = Account(), 0
    try:
        with gzip.open(path, "rb") as file:
            while text := file.readline(LONGEST):
                total += len(text)
                if len(text) == LONGEST or total > MOST:
                    raise ValueError("it is longer than any study's")
                _add(account, json.loads(text))
                if identity_alone:
                    break
        if not account.identity:
            raise ValueError("it is empty")
    except FileNotFoundError:
        return Account()
    except DAMAGE as error:
        raise ModelstitchError(
            f"{path}: is damaged ({printable(first_line(error))}): copy it again, or remove it with all results of the "
            "study"
        ) from error
    return account


def _add(account: Account, line: dict[str, Any]) -> None:
    if not account.identity:
        account.identity = str(line["id"])
        return
    name, record, by = line["file"], line["record"], line.get("by")
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts or not place.parts:
        raise ValueError(f"{name}: expected a file in the study's folder")
    kinds = {"commit": str, "versions": dict, "machine": dict, "params": dict}
    known = by is None or all(isinstance(by[key], kind) for key, kind in kinds.items())
    if not isinstance(record, dict) or not known:
        raise TypeError(f"{name}: expected what made it")
    account.lines[name] = {"record": record, "by": by}


def write(path: Path | str, account: Account) -> None:
    """Write the account of a study.

    Raises:
        ModelstitchError: if the file can't be written.
    """
    with replacing(path) as temporary, gzip.open(temporary, "wt", compresslevel=1, encoding="utf-8") as lines:
        lines.write(json.dumps({"id": account.identity}) + "\n")
        for name, line in sorted(account.lines.items()):
            lines.write(json.dumps({"file": name, **line}) + "\n")


def describe(path: Path | str) -> str:
    """What made a file of a study, as text: rule, inputs, time, code, settings, releases, machine.

    Raises:
        ModelstitchError: if there is no such file, it belongs to no study, or its making is not known.
    """
    path = Path(path)
    if not path.exists():
        raise ModelstitchError(f"{path}: no such file: expected a result, results/<study>/tables/cells.csv")
    folder = next((one for one in path.absolute().parents if (one / NAME).is_file()), None)
    if folder is None:
        raise ModelstitchError(f"{path}: no {NAME} in a folder above it: expected a result of a study that was run")
    within, lines = path.absolute().relative_to(folder), read(folder / NAME).lines
    line = next((lines[str(one)] for one in (within, *within.parents) if str(one) in lines), None)
    if line is None:
        raise ModelstitchError(f"{path}: {folder.name}/{NAME} does not tell what made it: it is no result of a job")
    return "\n".join(f"{name:<10}{text}" for name, text in [("file", str(path)), *_told(line, folder)] if text)


def _told(line: dict[str, Any], folder: Path) -> list[tuple[str, str]]:
    record, by = line["record"], line["by"] or {}
    inputs, machine, versions = record.get("input") or [], by.get("machine", {}), by.get("versions", {})
    more = [f"and {len(inputs) - SHOWN:,} more"] if len(inputs) > SHOWN else []
    begun, ended = (_time(record.get(name)) for name in ("starttime", "endtime"))
    gpus = ", ".join(machine.get("gpus", []))
    params = by.get("params") or dict(enumerate(record.get("params") or []))
    config = folder / "study" / "config.yaml"
    return [
        ("rule", str(record.get("rule"))),
        ("inputs", ", ".join([*map(str, inputs[:SHOWN]), *more])),
        ("time", f"{begun} to {ended}" if begun and ended else ""),
        ("commit", by.get("commit", "")),
        ("study", os.path.relpath(config) if config.is_file() else ""),
        *(("", f"{name}: {value}") for name, value in params.items()),
        ("versions", ", ".join(f"{name} {release}" for name, release in versions.items())),
        ("machine", f"{machine['processor']}, {machine['cores']} cores, {machine['system']}" if machine else ""),
        ("gpus", gpus),
    ]


def _time(seconds: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds)) if seconds else ""
