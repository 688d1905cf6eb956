"""Progress of long work: one line that updates on a terminal, plain lines elsewhere."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
SECONDS_BETWEEN_LINES = 10.0

log = logging.getLogger("modelstitch")


def track(items: Iterable[Item], label: str, total: int | None = None) -> Iterator[Item]:
    """Yield the items, and show how many are done.

    On a terminal this is a bar. With logging set up (a job with a log file), or without a terminal, it is a line at
    most every 10 seconds.
    """
    total = total if total is not None else len(items)  # type: ignore[arg-type]
    if sys.stderr.isatty() and not log.hasHandlers():
        yield from tqdm(items, desc=label, total=total, leave=False)
        return
    start = spoken = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - spoken >= SECONDS_BETWEEN_LINES and done < total:
            spoken = now
            left = (now - start) / done * (total - done)
            say(f"{label}: {done} of {total}, {left:.0f} s left")


def say(line: str) -> None:
    """Log one line, or print it to standard error where no logging is set up."""
    if log.hasHandlers():
        log.info(line)
    else:
        print(line, file=sys.stderr)
