"""Keeps Snakemake from looking for jobs again and again where nothing has changed.

Snakemake starts at most so many jobs a second (`--max-jobs-per-timespan`, by default 100), and looks for jobs once more
a second later, since it may start others then. It does so after each look, also where the limit held nothing back, and
each job that ends begins such a chain of its own. So it soon looks hundreds of times a second, at every input file of
every job that is ready: after 150 jobs of a study that took 0.7 of a core (snakemake/snakemake#3744).
"""

from collections.abc import Sequence
from typing import Any

from snakemake.scheduling.job_scheduler import JobScheduler

_select = JobScheduler.job_selector
_look_again = getattr(JobScheduler, "_schedule_reevalutation", None)  # as Snakemake spells it; None: it is mended


def use() -> None:
    """Let Snakemake look for jobs once more only where its limit has held some back, or it waits for a queue."""

    def job_selector(self: JobScheduler, jobs: Sequence[Any]) -> Sequence[Any]:
        most = self.job_rate_limiter.get_free_jobs() if self.job_rate_limiter else len(jobs) + 1
        selected = _select(self, jobs)
        self.held_back = len(selected) >= most or bool(self.subsample)
        return selected

    def look_again(self: JobScheduler, delay: float) -> None:
        if getattr(self, "held_back", True) or self.workflow.dag.has_unfinished_queue_input_jobs():
            _look_again(self, delay)

    if _look_again:
        JobScheduler.job_selector, JobScheduler._schedule_reevalutation = job_selector, look_again
