"""A run on one screen: a line for each finished job, and below them what is done, in cells too, and the time left."""

import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from logging import ERROR, WARNING, LogRecord
from pathlib import Path
from typing import NamedTuple

from snakemake_interface_logger_plugins.common import LogEvent

QUIET = "MODELSTITCH_QUIET"  # set for the jobs, which then tell nothing but what is wrong (workflow_scripts/job.py)
REFRESHED, REPEATED = 1.0, 60.0  # seconds between lines of progress: on a terminal, elsewhere
SHORT_JOB = 6.0  # seconds of one of which nothing is known: a process starts, and draws
PROGRESS = re.compile(rb"(\d+) of (\d+)(?!.*\d+ of \d+)", re.DOTALL)  # the last of a log's end
NOTHING = "Nothing to be done"


class Work(NamedTuple):
    """What a job has to do: cells that it trains, operations (0: not known) that take its time."""

    rule: str
    cells: int = 0
    operations: int = 0


@dataclass
class Expected:
    """What the workflow tells of a run.

    Attributes:
        jobs: that it will run, by their ids.
        at_once: how many of them.
        page: that shows the results.
    """

    jobs: Mapping[int, Work] = field(default_factory=dict)
    at_once: int = 1
    page: str = ""


EXPECTED = Expected()


def expect(jobs: Mapping[int, tuple] | None = None, at_once: int = 1, page: str = "") -> None:
    """Told by the workflow: what it will run, each job as a `Work`, `at_once` of them, and the page of its results."""
    if jobs is not None:
        EXPECTED.jobs, EXPECTED.at_once = {job: Work(*work) for job, work in jobs.items()}, at_once
    EXPECTED.page = page or EXPECTED.page


@dataclass
class Job:
    """One that runs."""

    name: str
    log: str
    start: float


class Run:
    """The display of a run; only what it says of errors and finished jobs stays on a terminal."""

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()
        self.running: dict[int, Job] = {}
        self.seconds: dict[int, float] = {}  # of finished jobs
        self.failed = self.ended = False
        self.log = ""
        self.spoken = time.monotonic()
        self._shown, self._lock, self._stop = "", threading.RLock(), threading.Event()
        os.environ[QUIET] = "1"
        threading.Thread(target=self._refresh, daemon=True).start()

    def hear(self, record: LogRecord, text: str) -> None:
        """Take what Snakemake says; `text` is how it would say it."""
        with self._lock:
            event = getattr(record, "event", None)
            if event == LogEvent.JOB_INFO:
                name = " ".join([record.rule_name, *map(str, record.wildcards.values())])
                self.running[record.jobid] = Job(name, (record.log or [""])[0], time.monotonic())
            elif event == LogEvent.JOB_FINISHED:
                self._finish(record.job_id)
            elif event == LogEvent.JOB_ERROR:
                self.failed = True
                self.running.pop(record.jobid, None)
                self._say("\n".join(failure(record)))
            elif record.levelno >= WARNING:
                self.failed = self.failed or record.levelno >= ERROR
                self._say(text)
            elif text.startswith("Complete log"):
                self.log = text.partition(": ")[2]
            elif text.startswith(NOTHING):
                self._say(
                    "All results are there, and none is stale."
                    + f" Open in a browser: {EXPECTED.page}" * bool(EXPECTED.page)
                )

    def end(self) -> None:
        """Let go of the line of progress; of a run that failed, say where Snakemake's own output is."""
        self._stop.set()
        with self._lock:
            self._show("")
            if self.failed and self.log and not self.ended:
                self._say(f"What Snakemake says of it: {self.log}")
            self.ended = True

    def _finish(self, job: int) -> None:
        done = self.running.pop(job, None)
        if done is None or done.name == "all":
            return
        self.seconds[job] = time.monotonic() - done.start
        line = f"{done.name}: {duration(self.seconds[job])}"
        self._say(line if self.terminal else f"{self.progress()} | {line}")
        if self.terminal:
            self._show(self.progress())

    def progress(self) -> str:
        """What is done of what there is to do: jobs, cells, and how long it will still take."""
        jobs = EXPECTED.jobs
        shares = {job: share_done(one.log) for job, one in self.running.items()}
        cells = sum(work.cells for work in jobs.values())
        done = sum(work.cells * (1 if job in self.seconds else shares.get(job, 0)) for job, work in jobs.items())
        parts = [f"{len(self.seconds)} of {max(len(jobs), len(self.seconds))} jobs"]
        if cells:
            parts.append(f"{int(done):,} of {cells:,} cells")
        left = seconds_left(self.seconds, shares)
        if left is not None:
            parts.append(f"{duration(left)} left")
        return ", ".join(parts)

    def _refresh(self) -> None:
        while not self._stop.wait(REFRESHED):
            with self._lock:
                if self.terminal and self.running:
                    self._show(self.progress())
                elif not self.terminal and self.running and time.monotonic() - self.spoken >= REPEATED:
                    self._say(self.progress())

    def _say(self, text: str) -> None:
        shown = self._shown
        self._show("")
        print(text, file=sys.stderr, flush=True)
        self.spoken = time.monotonic()
        self._show(shown)

    def _show(self, line: str) -> None:
        """The line of progress of a terminal, in place of the one before."""
        if self.terminal and (line or self._shown):
            wide = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[2K{line[:wide]}", end="", file=sys.stderr, flush=True)
        self._shown = line


def failure(record: LogRecord) -> list[str]:
    """What is told of a failed job beside its own error: its name, and where its log is."""
    logs = ", ".join(record.log or ())
    lines = [f"{record.rule_name} failed: {', '.join(record.output[:1])}" + (f" (log: {logs})" if logs else "")]
    return [*lines, *([f"    {record.rule_msg}"] if record.rule_msg else [])]


def share_done(log: str) -> float:
    """How much of its work a running job says that it has done, by the last `12 of 30` in its log; 0 if nothing."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, Path(log).stat().st_size - 500))
            found = PROGRESS.search(file.read())
    except (OSError, ValueError):
        return 0.0
    return min(1.0, int(found[1]) / int(found[2])) if found and int(found[2]) else 0.0


def seconds_left(seconds: Mapping[int, float], shares: Mapping[int, float]) -> float | None:
    """How long what is not finished takes at the speed of what is; None as long as nothing tells that speed.

    Args:
        seconds: of each finished job.
        shares: of each running job, how much of it is done.
    """
    jobs = EXPECTED.jobs
    spent: dict[str, list[float]] = {}  # of each rule: jobs, seconds, operations
    for job, time_spent in seconds.items():
        if job in jobs:
            sums = spent.setdefault(jobs[job].rule, [0, 0.0, 0])
            for place, value in enumerate((1, time_spent, jobs[job].operations)):
                sums[place] += value
    every = [sum(values) for values in zip(*(one for one in spent.values() if one[2]), strict=True)]
    left = 0.0
    for job, work in jobs.items():
        if job in seconds:
            continue
        count, total, operations = spent.get(work.rule, (0, 0.0, 0))
        if work.operations:
            total, operations = (total, operations) if operations else (every[1:] if every else (0.0, 0))
            if not operations:
                return None
            expected = total / operations * work.operations
        else:
            expected = total / count if count else SHORT_JOB
        left += expected * (1 - shares.get(job, 0.0))
    return left / EXPECTED.at_once if jobs else None


def duration(seconds: float) -> str:
    """A time to read: `12 s`, `3 min`, `2 h 10 min`."""
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
