"""What every script does first: find the package in the checkout, open the log, tell mistakes in one line."""

import json
import logging
import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from modelstitch.allocator import keep_freed_memory
from modelstitch.errors import ModelstitchError, first_line
from modelstitch.files import replacing

if TYPE_CHECKING:
    from modelstitch.networks.network import Network

log = logging.getLogger("modelstitch")
_terminal = logging.StreamHandler()
# What the loader, the C++ library and torch say of it; a killed process says nothing.
NO_MEMORY = ("failed to map segment", "annot allocate memory", "std::bad_alloc", "can't allocate memory")


def begin(snakemake: Any) -> None:
    """Log to the job's log file and, each line under the job's name, to standard error.

    A ModelstitchError ends the job with one line; any other error too, with its traceback in the log file.
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
    file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(file)


def load_pair(snakemake: Any) -> tuple["Network", "Network"]:
    """Sender and receiver of a job, cut where its params say."""
    from modelstitch.networks.network import Network  # torch, which scripts of tables do without

    roles = ("sender", "receiver")
    return tuple(Network.load(snakemake.input[role]).cut_at(snakemake.params[f"{role}_cuts"]) for role in roles)


def write_network(snakemake: Any, network: "Network") -> None:
    """Write a network, and what is known of it as readable JSON."""
    from modelstitch.networks import weights

    weights.save(snakemake.output.weights, network)
    with replacing(snakemake.output.about) as temporary:
        temporary.write_text(json.dumps(dict(network.about), indent=2) + "\n", encoding="utf-8")


def _tell(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if isinstance(error, ModelstitchError):
        log.error(str(error))
        return
    if isinstance(error, MemoryError) or any(words in str(error) for words in NO_MEMORY):
        log.error(f"the memory is exhausted ({first_line(error)}): give the job more (mem_mb, or ulimit -v)")
    else:
        log.error(f"{kind.__name__}: {error} (the traceback is in the log)")
    log.error("", exc_info=(kind, error, traceback), extra={"traceback": True})


# From here on, so that it tells of a library too that finds no memory to be loaded into, before a job begins.
_terminal.setFormatter(logging.Formatter("%(message)s"))
_terminal.addFilter(lambda record: not hasattr(record, "traceback"))
log.addHandler(_terminal)
log.propagate = False
sys.excepthook = _tell
