"""What every script does first: find the package in the checkout, open the log, tell mistakes in one line."""

import logging
import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from modelstitch.allocator import keep_freed_memory
from modelstitch.errors import ModelstitchError

if TYPE_CHECKING:
    from modelstitch.networks.network import Network

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
    for name in ("dataset", "sender", "receiver", "network"):
        if not snakemake.input.get(name, True):
            raise ModelstitchError(
                f"{snakemake.output[0]}: is made anew, but its {name} was lost: make that first (snakemake --cores 1, "
                "and its path), then run the same command again"
            )


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


def _tell(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if isinstance(error, ModelstitchError):
        log.error(str(error))
        return
    log.error(f"{kind.__name__}: {error} (the traceback is in the log)")
    log.error("", exc_info=(kind, error, traceback), extra={"traceback": True})
