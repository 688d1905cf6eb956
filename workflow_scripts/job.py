"""The first steps of every script: find the package in the checkout, open the log, report mistakes in one line."""

import atexit
import hashlib
import json
import logging
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from modelstitch.allocator import keep_freed_memory
from modelstitch.errors import ModelstitchError, first_line
from modelstitch.kept import bring_back, keep
from modelstitch.sharing.maker import describe_maker, to_line

if TYPE_CHECKING:
    from modelstitch.networks.network import Network

log = logging.getLogger("modelstitch")
_failed: list[BaseException] = []
RUN = "MODELSTITCH_RUN"  # set by slurm/executor.py
IN_LOG_ALONE = {"in_log_alone": True}
MOST_KEPT = 4  # outputs; no job of a pair or a network has more
_terminal = logging.StreamHandler()
if os.environ.get("MODELSTITCH_QUIET"):  # set by the run's display, which tells the rest
    _terminal.setLevel(logging.WARNING)
# What the loader, the C++ library and torch say of it; a killed process says nothing.
NO_MEMORY = ("failed to map segment", "annot allocate memory", "std::bad_alloc", "can't allocate memory")


def begin(snakemake: Any) -> None:
    """Log to the job's log file, which begins with its maker, and to standard error, each line under the job's name.

    A ModelstitchError ends the job with one line; any other error does too, with its traceback in the log file. On a
    cluster, if the same job of a killed Snakemake has finished meanwhile, this one takes its results and ends.
    """
    keep_freed_memory()
    name = " ".join([snakemake.rule, *snakemake.wildcards])
    logging.raiseExceptions = False  # a full disk: the message on standard error is enough
    _terminal.setFormatter(logging.Formatter(f"{name}: %(message)s"))
    log.setLevel(logging.INFO)
    try:
        file = logging.FileHandler(snakemake.log[0], mode="w", encoding="utf-8")
    except OSError as error:
        raise ModelstitchError(f"{snakemake.log[0]}: can't be written: {error.strerror}") from error
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(file)
    log.info(to_line(describe_maker(dict(snakemake.params.items()))), extra=IN_LOG_ALONE)
    for name in ("dataset", "sender", "receiver", "network"):
        if not snakemake.input.get(name, True):
            raise ModelstitchError(
                f"{snakemake.output[0]}: is made anew, but its {name} was lost: make that first (snakemake --cores 1, "
                "and its path), then run the same command again"
            )
    if {RUN, "SLURM_JOB_ID"} <= os.environ.keys() and len(snakemake.output) <= MOST_KEPT:
        _pass_on(snakemake)


def load_pair(snakemake: Any) -> tuple["Network", "Network"]:
    """Sender and receiver of a job, cut where its params say."""
    from modelstitch.networks.network import Network  # torch, which scripts of tables do without

    networks = []
    for role in ("sender", "receiver"):
        network = Network.load(snakemake.input[role])
        if network.name != snakemake.wildcards[role]:
            raise ModelstitchError(
                f"{snakemake.input[role]}: network.name: {network.name!r}: it is another network's: "
                "run the study again with --forcerun and this file"
            )
        networks.append(network.cut_at(snakemake.params[f"{role}_cuts"]))
    return tuple(networks)


def _pass_on(snakemake: Any) -> None:
    """Take the results of the same job of a killed run, or keep those of this one, since Snakemake deletes outputs.

    When Snakemake sees the end of a job, it removes what the job kept (`slurm/executor.py`).
    """
    inputs = [(str(path), os.stat(path).st_size, os.stat(path).st_mtime_ns) for path in snakemake.input]
    maker = [snakemake.rule, list(snakemake.wildcards), dict(snakemake.params.items()), inputs]
    digest = hashlib.sha256(json.dumps(maker, sort_keys=True, default=str).encode()).hexdigest()[:16]
    if bring_back(snakemake.output, digest):
        log.info("was finished by a job of an earlier run: nothing to do")
        sys.exit()
    atexit.register(_keep, list(snakemake.output), digest)


def _keep(outputs: list[str], digest: str) -> None:
    if not _failed:
        keep(outputs, digest)


def _tell(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    _failed.append(error)
    if isinstance(error, ModelstitchError):
        log.error(str(error))
        return
    if isinstance(error, MemoryError) or any(words in str(error) for words in NO_MEMORY):
        log.error(f"the memory is exhausted ({first_line(error)}): give the job more (mem_mb, or ulimit -v)")
    else:
        log.error(f"{kind.__name__}: {error} (the traceback is in the log)")
    log.error("", exc_info=(kind, error, traceback), extra=IN_LOG_ALONE)


# From here on, so that it tells of a library too that finds no memory to be loaded into, before a job begins.
_terminal.setFormatter(logging.Formatter("%(message)s"))
_terminal.addFilter(lambda record: not hasattr(record, "in_log_alone"))
log.addHandler(_terminal)
log.propagate = False
sys.excepthook = _tell
