"""Snakemake's executor for SLURM (snakemake-executor-plugin-slurm 2.8), with what the plugin lacks.

The plugin waits for ever for a job that somebody cancelled, that SLURM forgot, or that ran while `sacct` did not
answer. It retries every failure, guesses an account, and ignores jobs that a killed Snakemake left behind. `use`
replaces the plugin by the class in this module, in the process that submits jobs; the jobs themselves never see it.
"""

import functools
import getpass
import hashlib
import os
import re
import shutil
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import snakemake_executor_plugin_slurm as plugin
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

from modelstitch.kept import forget
from modelstitch.sharing.maker import MARK

LOST_AFTER = 600.0  # seconds for which SLURM says nothing of a job, or that it will be requeued
TAIL = 5  # lines of a failed job's log that are shown
OUT_OF_MEMORY, OUT_OF_TIME = "OUT_OF_MEMORY", "TIMEOUT"
CAUSES = {
    OUT_OF_MEMORY: "it used more memory than the {mem_mb} MB that it asked for",
    OUT_OF_TIME: "it reached its time limit of {runtime} minutes",
    "CANCELLED": "it was cancelled",
    "PREEMPTED": "it was preempted, and not requeued",
    "NODE_FAIL": "its node failed",
    "BOOT_FAIL": "its node failed to boot",
    "DEADLINE": "it could not end before its deadline",
}
# Ends of a job that the plugin takes for work that goes on.
UNKNOWN_ENDS = ("REVOKED", "LAUNCH_FAILED", "RECONFIG_FAIL")
# What SLURM writes into the log of a job whose step it killed for memory, where the job counts just as failed.
KILLED_FOR_MEMORY = re.compile(r"exceeded (job |step )?memory limit|oom[-_ ]?kill|out[ -]of[ -]memory", re.IGNORECASE)
# The last line of a job's log that tells a mistake (workflow_scripts/job.py).
MISTAKE = re.compile(r"\S+ \S+ ERROR (?P<text>.*)")

_query, _submit, _is_available = plugin.query_job_status, plugin.get_submit_command, plugin.is_query_tool_available
_ask_for_gpu = plugin.set_gres_string
_states: dict[str, str] = {}  # of each job, as SLURM tells them: "CANCELLED by 1000"
_left: dict[str, float] = {}  # jobs that SLURM may requeue, and since when
_earlier: dict[str, str] = {}  # running jobs of a killed run, by the comment that names their rule and wildcards
_ends: dict[tuple[str, ...], Counter] = defaultdict(Counter)  # how each rule's jobs ended, by their wildcards


def use(study: str) -> None:
    """Let Snakemake submit by this executor.

    Args:
        study: name of the study, with which the names of its jobs begin.
    """
    Executor.study = study
    registry = ExecutorPluginRegistry()
    if registry.is_installed("slurm"):
        registry.plugins["slurm"].executor = Executor
        plugin.query_job_status = query_job_status
        plugin.get_submit_command = get_submit_command
        plugin.is_query_tool_available = is_query_tool_available
        plugin.set_gres_string = set_gres_string


def times_ended(rule: str, wildcards: Sequence[str], *ends: str) -> int | None:
    """How often a job ended in one of these ways; None if it never failed in this run."""
    ended = _ends.get((rule, *map(str, wildcards)))
    return ended and sum(ended[end] for end in ends)


async def query_job_status(command: str, logger: Any) -> tuple[dict[str, str], float]:
    """The state of each job in one word, from `sacct` or `squeue`; nothing if they don't answer.

    The plugin forgets all its jobs if there is no answer, and does not understand "CANCELLED by 1000".
    """
    states, seconds = await _query(command, logger)
    _states.clear()
    _states.update(states or {})
    return {job: _state(job) for job in _states}, seconds or 0.0


def _state(job: str) -> str:
    state = _states[job].partition(" ")[0]
    if state in ("PREEMPTED", "NODE_FAIL"):
        lasted = time.monotonic() - _left.setdefault(job, time.monotonic())
        return "FAILED" if lasted > LOST_AFTER else state
    _left.pop(job, None)
    return "FAILED" if state in UNKNOWN_ENDS else state


@functools.cache
def has_accounting() -> bool:
    """Whether `sacct` has a database to ask."""
    return _is_available("sacct") and _run("sacct", "--noheader", "--starttime=now").returncode == 0


def is_query_tool_available(name: str) -> bool:
    """Whether a command exists and answers."""
    return has_accounting() if name == "sacct" else _is_available(name)


def get_submit_command(job: Any, params: dict[str, Any], *arguments: Any, **named: Any) -> str:
    """The plugin's command, which first waits for a job of a killed run that makes the same."""
    call = _submit(job, params, *arguments, **named)
    earlier = _earlier.pop(params["comment_str"], None)
    return f"{call} --dependency=afterany:{earlier}" if earlier else call


def set_gres_string(job: Any) -> str:
    """The plugin's `--gpus`, or the resource `gpu_option`, for jobs that need a GPU alone."""
    option = job.resources.get("gpu_option")
    if not option:
        return _ask_for_gpu(job)
    return f" {option}" if job.resources.get("gpu") else ""


class Executor(plugin.Executor):
    """The plugin's executor, but it notices every end of a job, says why, and retries only what may succeed."""

    study = ""

    def __post_init__(self, test_mode: bool = False) -> None:
        settings = self.workflow.executor_settings
        settings.jobname_prefix = name_of_jobs(settings.jobname_prefix, self.study)
        self._seen: dict[str, float] = {}
        self._failed: dict[str, str] = {}
        self._looked = False
        super().__post_init__(test_mode)
        os.environ["MODELSTITCH_RUN"] = self.run_uuid  # jobs that see it keep what they make (workflow_scripts/job.py)

    def get_status_command(self) -> str:
        """`sacct` if there is accounting, else `squeue`."""
        chosen = super().get_status_command()
        return chosen if chosen == "squeue" or has_accounting() else "squeue"

    def get_account_arg(self, job: Any) -> Iterator[str]:
        """The account that was asked for; otherwise none, so that SLURM takes its default."""
        if job.resources.get("slurm_account"):
            yield from super().get_account_arg(job)
        else:
            yield ""

    def run_jobs(self, jobs: Sequence[Any]) -> None:
        """Submit jobs, after settling those of an earlier run that was killed."""
        if not self._looked:
            self._looked = True
            self._settle_earlier_jobs()
        super().run_jobs(jobs)

    def _settle_earlier_jobs(self) -> None:
        """Cancel waiting jobs of a killed run of this study and folder; let our jobs wait for its running ones.

        A living run has locked the outputs of its jobs, so none of its jobs can be among ours.
        """
        planned = {comment_of(job) for job in self.dag.needrun_jobs()}
        prefix = self.workflow.executor_settings.jobname_prefix + "_"
        found = _run("squeue", "--noheader", f"--user={getpass.getuser()}", "--format=%i|%j|%T|%Z|%k")
        if found.returncode != 0:
            self.logger.warning(f"squeue: {found.stderr.strip()}: jobs of an earlier run may still run")
            return
        rows = [row.split("|", 4) for row in found.stdout.splitlines() if row.count("|") >= 4]
        ours = [
            (job, name, state, comment)
            for job, name, state, folder, comment in rows
            if name.startswith(prefix) and name != self.run_uuid and folder == str(self.workflow.workdir_init)
        ]
        dead = {name for _, name, _, comment in ours if comment in planned}
        left = {job: (state, comment) for job, name, state, comment in ours if name in dead}
        # Of an array each task has the comment of the first.
        kept = {job: comment for job, (state, comment) in left.items() if state == "RUNNING" and "_" not in job}
        _earlier.update({comment: job for job, comment in kept.items() if comment in planned})
        if cancelled := [job for job in left if job not in kept]:
            _run("scancel", *cancelled)
            self.logger.warning(
                f"Jobs of an earlier run of this study that still waited, cancelled: {' '.join(cancelled)}"
            )
        if kept:
            self.logger.warning(
                f"Jobs of an earlier run of this study that still run: {' '.join(kept)}. Their like waits for them, "
                f"and takes what they leave. If they are not wanted any more: scancel {' '.join(kept)}"
            )

    async def check_active_jobs(self, active_jobs: list[Any]) -> AsyncIterator[Any]:
        """The plugin's check, but a job that SLURM no longer knows has failed."""
        async for job in super().check_active_jobs(active_jobs):
            if self._is_lost(job.external_jobid):
                self.report_job_error(
                    job, "SLURM knows nothing of it any more", aux_logs=[str(job.aux["slurm_logfile"])]
                )
            else:
                yield job

    def _is_lost(self, job: str) -> bool:
        now = time.monotonic()
        since = self._seen.setdefault(job, now)
        if any(name in _states for name in plugin._status_lookup_ids(job)):
            self._seen[job] = now
            return False
        return now - since > LOST_AFTER and not is_queued(job)

    def report_job_success(self, job_info: Any) -> None:
        """The plugin's report; files that the job kept for a successor are removed."""
        if not job_info.job.is_group():
            for file in job_info.job.output:
                forget(file)
            self._failed.pop(_name_of(job_info.job), None)
        super().report_job_success(job_info)

    def report_job_error(self, job_info: Any, msg: str | None = None, **named: Any) -> None:
        """Report which job failed, why, and the last lines of its log; keep the log; end tries that can't succeed."""
        job = job_info.job
        if job.is_group():
            super().report_job_error(job_info, msg=msg, **named)
            return
        end = _states.get(job_info.external_jobid, "")
        word, log = end.partition(" ")[0], _log_of(job_info)
        if word == "FAILED" and KILLED_FOR_MEMORY.search(_text_of_slurm(job_info)):
            end = word = OUT_OF_MEMORY
        lines = log.read_text(errors="replace").splitlines() if log else []
        lines = [line for line in lines if f" INFO {MARK}" not in line]
        mistake = MISTAKE.fullmatch(lines[-1]) if lines else None
        if mistake and "(the traceback is in the log)" in mistake["text"]:
            mistake = None
        if word in CAUSES:
            cause = CAUSES[word].format(**job.resources) + end.removeprefix(word).replace(" by ", " by user ")
        else:
            cause = mistake["text"] if mistake else "it failed" if word else (msg or "it failed").strip()
        name = _name_of(job)
        why_not = "it would fail again" if mistake and word == "FAILED" else self._why_not_again(job, word)
        if why_not:
            job._attempt = job.restart_times + 1  # the property would ask for other resources
            cause += f"; not tried again: {why_not}"
        else:
            _ends[(job.rule.name, *job.wildcards)][word] += 1
        self._failed[name] = f"{name}: {cause}"
        number = f"SLURM job {job_info.external_jobid}: " if job_info.external_jobid else ""
        shown = [f"{name}: {number}{cause}"]
        if lines and not mistake:
            shown += [f"last lines of {log}:", *(f"    {line}" for line in lines[-TAIL:])]
        _keep_log(job, job_info.external_jobid)
        super().report_job_error(job_info, msg="\n".join(shown) + "\n", **named)

    def _why_not_again(self, job: Any, end: str) -> str:
        """Why another try of a job would fail in the same way; "" if it may succeed."""
        if end == "CANCELLED":
            return "run the same command again, if that was a mistake"
        most = self.workflow.global_resources
        for ended, name in ((OUT_OF_MEMORY, "mem_mb"), (OUT_OF_TIME, "runtime")):
            limit = most[name].value if name in most else None
            if end == ended and limit and job.resources[name] >= limit and "checkpoint" not in job.params.keys():  # noqa: SIM118
                return f"{name}={limit} is the most that the profile's `resources` let it ask for"
        return ""

    def shutdown(self) -> None:
        """The plugin's shutdown, followed by a line for each job that failed for good."""
        super().shutdown()
        if self._failed:
            self.logger.error("\n".join(["Failed:", *self._failed.values()]))


def name_of_jobs(prefix: str, study: str) -> str:
    """The beginning of the names of a study's jobs: at most 50 letters, digits, '-' and '_'."""
    prefix = prefix or "modelstitch"
    if re.fullmatch(r"[A-Za-z0-9_-]+", study) and len(prefix) + len(study) < 50:
        return f"{prefix}-{study}"
    return f"{prefix[:30]}-{hashlib.sha256(study.encode()).hexdigest()[:16]}"


def comment_of(job: Any) -> str:
    """The comment by which the plugin marks a job."""
    wildcards = "" if job.is_group() else plugin.get_job_wildcards(job)
    return f"rule_{job.name}_wildcards_{wildcards}" if wildcards else f"rule_{job.name}"


def is_queued(job: str) -> bool:
    """Whether a job waits or runs, or may do so because SLURM doesn't answer."""
    found = _run("squeue", "--noheader", f"--jobs={job}")
    return bool(found.stdout.strip()) or (found.returncode != 0 and "Invalid job id" not in found.stderr)


def _name_of(job: Any) -> str:
    return " ".join([job.rule.name, *map(str, job.wildcards)])


def _log_of(job_info: Any) -> Path | None:
    """A job's own log; SLURM's, where it has not begun one; None if neither has a line."""
    candidates = [*job_info.job.log, *([job_info.aux["slurm_logfile"]] if job_info.aux else [])]
    return next((Path(log) for log in candidates if Path(log).is_file() and Path(log).stat().st_size), None)


def _text_of_slurm(job_info: Any) -> str:
    log = job_info.aux and Path(job_info.aux["slurm_logfile"])
    return log.read_text(errors="replace") if log and log.is_file() else ""


def _keep_log(job: Any, job_id: str | None) -> None:
    """Copy a failed job's log, since the next try overwrites it."""
    for log in map(Path, job.log):
        if job_id and log.is_file():
            shutil.copy(log, log.with_name(f"{log.stem}.failed-{job_id}{log.suffix}"))


def _run(*command: str) -> subprocess.CompletedProcess:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))
