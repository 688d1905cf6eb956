"""What a dry run would do, on one screen.

Snakemake's own dry run writes some lines for each job, with all its files: 17 MB for the paper's study.
"""

import sys
from collections import Counter
from logging import ERROR, WARNING, LogRecord

from snakemake_interface_logger_plugins.common import LogEvent

NOTHING = "Nothing to be done"  # as Snakemake says it
# Its words for why a job runs, the first that holds being the one that is told, and ours.
REASONS = {
    "Missing output files": "not there yet",
    "Incomplete output files": "was left unfinished",
    "Forced execution": "asked for",
    "Params have changed": "settings or code changed",
    "Software environment": "environment changed",
    "Updated input files": "a file it reads is newer",
    "Input files updated by another job": "a file it reads is made anew",
}


class Plan:
    """Counts jobs by rule and reason, and prints the counts at the end."""

    def __init__(self) -> None:
        self.jobs: dict[str, Counter[str]] = {}
        self.nothing = self.failed = self.told = False

    def hear(self, record: LogRecord, text: str) -> None:
        """Take what Snakemake says; `text` is how it would say it."""
        if record.levelno >= WARNING:
            self.failed = self.failed or record.levelno >= ERROR
            print(text, file=sys.stderr)
        elif getattr(record, "event", None) == LogEvent.JOB_INFO and record.rule_name != "all":
            self.jobs.setdefault(record.rule_name, Counter())[reason_of(record.reason)] += 1
        elif text.startswith(NOTHING):
            self.nothing = True

    def end(self) -> None:
        known = self.jobs or self.nothing  # else the study file, or a rule, has a mistake
        if known and not (self.failed or self.told):
            self.told = True
            print(table(self.jobs))


def reason_of(text: str) -> str:
    """Why a job runs, in a few words."""
    return next((words for phrase, words in REASONS.items() if phrase in text), "another reason")


def table(jobs: dict[str, Counter[str]]) -> str:
    """A line for each rule, in the order in which they start, and one for all."""
    total = sum(found.total() for found in jobs.values())
    if not total:
        return f"{NOTHING}: all results are there, and none is stale."
    lines = [("rule", "jobs", "why")]
    for rule, found in jobs.items():
        why = [f"{words}: {count}" if len(found) > 1 else words for words, count in found.most_common()]
        lines.append((rule, str(found.total()), "; ".join(why)))
    lines.append(("all", str(total), ""))
    wide, high = (max(len(line[place]) for line in lines) for place in (0, 1))
    return "\n".join(f"{rule:<{wide}}  {count:>{high}}  {why}".rstrip() for rule, count, why in lines)
