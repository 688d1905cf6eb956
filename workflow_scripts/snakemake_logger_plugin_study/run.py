"""A run on one screen: a line for each finished job, and below them jobs and cells done, and the time left."""

import os
import re
import shutil
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from logging import ERROR, WARNING, LogRecord
from typing import NamedTuple

from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_study.plan import NOTHING

CLOCKS_DIFFER = 2.0  # seconds, of a file system's clock and this machine's
QUIET = "MODELSTITCH_QUIET"  # set for the jobs, which then tell nothing but what is wrong (workflow_scripts/job.py)
REFRESHED, REPEATED = 1.0, 60.0  # seconds between lines of progress: on a terminal, elsewhere
SHORT_JOB = 6.0  # expected seconds of a job of which nothing is known: a process starts, and draws
PROGRESS = re.compile(rb"(\d+) of (\d+)(?!.*\d+ of \d+)", re.DOTALL)  # the last of a log's end
AWAITED = "time left: awaiting a first network or stitch"


class Work(NamedTuple):
    """What a job has to do: the cells that it trains, and the operations that take its time (0 if not known)."""

    rule: str
    cells: int = 0
    operations: int = 0


@dataclass
class Expected:
    """What the workflow says about a run.

    Attributes:
        jobs: the work of each job that will run, by the job's id.
        at_once: how many jobs run at the same time.
        page: the page that shows the results.
    """

    jobs: Mapping[int, Work] = field(default_factory=dict)
    at_once: int = 1
    page: str = ""


EXPECTED = Expected()


def expect(jobs: Mapping[int, tuple] | None = None, at_once: int = 1, page: str = "") -> None:
    """Called by the workflow, which knows its jobs (a `Work` each), how many run at once, and the page of results."""
    if jobs is not None:
        EXPECTED.jobs, EXPECTED.at_once = {job: Work(*work) for job, work in jobs.items()}, at_once
    EXPECTED.page = page or EXPECTED.page


@dataclass
class Spent:
    """What some jobs took: how many finished, their seconds, and the operations that they did."""

    jobs: int = 0
    seconds: float = 0.0
    operations: float = 0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.jobs + other.jobs, self.seconds + other.seconds, self.operations + other.operations)


class Report(NamedTuple):
    """The share of its work that a job had done, by its log, and when it said so (seconds of the clock of files)."""

    share: float
    time: float


@dataclass
class Job:
    """A running job.

    Attributes:
        name: its rule and wildcards.
        log: path of its log; "" if it has none.
        start: when it started, by the monotonic clock.
        begun: the same by the clock of files: what its log said before is of an earlier run.
        first, last: the first report that was seen, and the newest. A network that goes on after a restart reports
            epochs that this job did not train, so that only what lies between two reports tells its speed.
    """

    name: str
    log: str
    start: float
    begun: float = 0.0
    first: Report | None = None
    last: Report | None = None

    @property
    def share(self) -> float:
        """The share of its work that is done."""
        return self.last.share if self.last else 0.0

    def look(self) -> None:
        """Read what its log says by now."""
        found = report_of(self.log)
        if found and found.time >= self.begun - CLOCKS_DIFFER:
            self.first, self.last = self.first or found, found


class Run:
    """The display of a run; on a terminal only errors and finished jobs stay."""

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
                self.running[record.jobid] = Job(name, (record.log or [""])[0], time.monotonic(), time.time())
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
        """Remove the line of progress; if the run failed, say where Snakemake's own output is."""
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
        """The progress in jobs and cells, and the time left."""
        jobs = EXPECTED.jobs
        for one in self.running.values():
            one.look()
        shares = {job: one.share for job, one in self.running.items()} | dict.fromkeys(self.seconds, 1.0)
        cells = sum(work.cells for work in jobs.values())
        done = sum(work.cells * shares.get(job, 0.0) for job, work in jobs.items())
        parts = [f"{len(self.seconds)} of {max(len(jobs), len(self.seconds))} jobs"]
        if cells:
            parts.append(f"{int(done):,} of {cells:,} cells")
        if jobs:
            left = seconds_left(self.seconds, self.running)
            parts.append(AWAITED if left is None else f"{duration(left)} left")
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
        """Write the line of progress on a terminal, in place of the one before."""
        if self.terminal and (line or self._shown):
            wide = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[2K{line[:wide]}", end="", file=sys.stderr, flush=True)
        self._shown = line


def failure(record: LogRecord) -> list[str]:
    """Lines about a failed job beside its own error: its name, and where its log is."""
    logs = ", ".join(record.log or ())
    lines = [f"{record.rule_name} failed: {', '.join(record.output[:1])}" + (f" (log: {logs})" if logs else "")]
    return [*lines, *([f"    {record.rule_msg}"] if record.rule_msg else [])]


def report_of(log: str) -> Report | None:
    """What a job's log says last of the work that is done: `12 of 30`. None if it says nothing."""
    try:
        with open(log, "rb") as file:
            status = os.fstat(file.fileno())
            file.seek(max(0, status.st_size - 500))
            found = PROGRESS.search(file.read())
    except OSError:
        return None
    return Report(min(1.0, int(found[1]) / int(found[2])), status.st_mtime) if found and int(found[2]) else None


def seconds_left(seconds: Mapping[int, float], running: Mapping[int, Job]) -> float | None:
    """How long the work that is not done takes, at the speed of the work that is; None if nothing tells a speed yet.

    A job whose operations are counted takes as long for each as finished jobs of its rule did. Before one has finished,
    running jobs of the rule tell the speed by their reports; before they have, jobs of other rules do.

    Args:
        seconds: of each finished job.
        running: the running jobs.
    """
    jobs = EXPECTED.jobs
    finished, reported = defaultdict(Spent), defaultdict(Spent)
    for job, time_spent in seconds.items():
        if job in jobs:
            finished[jobs[job].rule] += Spent(1, time_spent, jobs[job].operations)
    for job, one in running.items():
        if job in jobs and one.first and one.last.share > one.first.share:
            done = (one.last.share - one.first.share) * jobs[job].operations
            reported[jobs[job].rule] += Spent(0, one.last.time - one.first.time, done)
    every = sum((one for one in (*finished.values(), *reported.values()) if one.operations), Spent())
    left = [0.0]
    for job, work in jobs.items():
        if job in seconds:
            continue
        if work.operations:
            known = (one for one in (finished[work.rule], reported[work.rule], every) if one.operations)
            speed = next(known, None)
            if speed is None:
                return None
            expected = speed.seconds / speed.operations * work.operations
        else:
            same = finished[work.rule]
            expected = same.seconds / same.jobs if same.jobs else SHORT_JOB
        left.append(expected * (1 - (running[job].share if job in running else 0.0)))
    return max(*left, sum(left) / EXPECTED.at_once)


def duration(seconds: float) -> str:
    """A time to read: `12 s`, `3 min`, `2 h 10 min`."""
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
