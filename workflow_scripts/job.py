"""What every script does first: find the package in the checkout, open the log, tell mistakes in one line."""

import json
import logging
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from modelstitch.allocator import keep_freed_memory
from modelstitch.errors import ModelstitchError
from modelstitch.files import replacing

log = logging.getLogger("modelstitch")


def begin(snakemake: Any) -> None:
    """Log to the job's log file and, each line under the job's name, to standard error.

    A ModelstitchError ends the job with one line; any other error too, with its traceback in the log file.
    """
    keep_freed_memory()
    name = " ".join([snakemake.rule, *snakemake.wildcards])
    logging.raiseExceptions = False  # a full disk: the message on standard error is enough
    terminal = logging.StreamHandler()
    terminal.setFormatter(logging.Formatter(f"{name}: %(message)s"))
    terminal.addFilter(lambda record: not hasattr(record, "traceback"))
    log.addHandler(terminal)
    log.setLevel(logging.INFO)
    log.propagate = False
    sys.excepthook = _tell
    try:
        file = logging.FileHandler(snakemake.log[0], mode="w", encoding="utf-8")
    except OSError as error:
        raise ModelstitchError(f"{snakemake.log[0]}: can't be written: {error.strerror}") from error
    file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(file)


def write_json(path: str, values: dict[str, Any]) -> None:
    """Write values as readable JSON."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _tell(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if isinstance(error, ModelstitchError):
        log.error(str(error))
        return
    log.error(f"{kind.__name__}: {error} (the traceback is in the log)")
    log.error("", exc_info=(kind, error, traceback), extra={"traceback": True})
