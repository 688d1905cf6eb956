"""What Snakemake's executor for SLURM makes of what `sacct` and `squeue` say, given by programs of those names."""

import asyncio
import logging
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from slurm import executor

LOG = logging.getLogger("test")


@pytest.fixture
def answers(tmp_path, monkeypatch):
    """Makes a program that answers a query, first in the PATH."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    executor.has_accounting.cache_clear()

    def make(name: str, text: str, code: int = 0) -> None:
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\ncat <<'EOT'\n{text}\nEOT\nexit {code}\n")
        program.chmod(0o755)

    yield make
    executor.has_accounting.cache_clear()
    executor._states.clear()
    executor._left.clear()


def ask() -> dict[str, str]:
    states, _ = asyncio.run(executor.query_job_status("sacct --parsable2", LOG))
    return states


def test_a_cancelled_job_is_cancelled_whoever_did_it(answers):
    answers("sacct", "1|CANCELLED by 0\n2|CANCELLED\n3|RUNNING\n4|COMPLETED\n5|LAUNCH_FAILED")
    expected = {"1": "CANCELLED", "2": "CANCELLED", "3": "RUNNING", "4": "COMPLETED", "5": "FAILED"}
    assert ask() == expected


def test_no_answer_is_no_news(answers):
    """The plugin forgets its jobs, and waits for ever, when it is given None."""
    answers("sacct", "sacct: error: slurm_persist_conn_open_without_init: failed to open connection", code=1)
    assert ask() == {}


def test_a_job_that_should_be_requeued_and_is_not_has_failed(answers, monkeypatch):
    answers("sacct", "1|PREEMPTED\n2|PREEMPTED\n3|NODE_FAIL")
    assert ask() == {"1": "PREEMPTED", "2": "PREEMPTED", "3": "NODE_FAIL"}
    monkeypatch.setattr(executor, "LOST_AFTER", 0.0)
    answers("sacct", "1|PREEMPTED\n2|RUNNING\n3|NODE_FAIL")
    assert ask() == {"1": "FAILED", "2": "RUNNING", "3": "FAILED"}


def test_a_cluster_without_accounting_is_asked_by_squeue(answers):
    answers("sacct", "Slurm accounting storage is disabled", code=1)
    assert not executor.is_query_tool_available("sacct")
    executor.has_accounting.cache_clear()
    answers("sacct", "")
    assert executor.is_query_tool_available("sacct")


@pytest.mark.parametrize(
    ("answer", "code", "queued"),
    [("17 main job R", 0, True), ("", 0, False), ("connection refused", 1, True)],
)
def test_a_job_is_given_up_only_where_squeue_knows_it_is_gone(answers, answer, code, queued):
    answers("squeue", answer, code)
    assert executor.is_queued("17") is queued


def test_names_of_jobs_tell_the_study_and_suit_slurm():
    assert executor.name_of_jobs("modelstitch", "digits") == "modelstitch-digits"
    names = [executor.name_of_jobs("modelstitch", study) for study in ("a.b", "a-b", "x" * 100, "x" * 99, "")]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 50 and name.replace("-", "").isalnum() for name in names)


def test_only_what_a_job_lacked_grows():
    key = ("stitch_pair", "task", "A", "B")
    assert executor.times_ended(key[0], key[1:], executor.OUT_OF_TIME) is None
    executor._ends[key].update([executor.OUT_OF_TIME, executor.OUT_OF_TIME, executor.OUT_OF_MEMORY])
    try:
        assert executor.times_ended(key[0], key[1:], executor.OUT_OF_TIME) == 2
        assert executor.times_ended(key[0], key[1:], executor.OUT_OF_MEMORY, "FAILED") == 1
        assert executor.times_ended(key[0], ("task", "A", "C"), executor.OUT_OF_TIME) is None
    finally:
        executor._ends.clear()


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({"gpu": 1}, " --gpus=1"),
        ({"gpu": 0}, ""),
        ({"gpu": 1, "gpu_option": "--gres=gpu:a100:1"}, " --gres=gpu:a100:1"),
        ({"gpu": 0, "gpu_option": "--gres=gpu:a100:1"}, ""),
        ({"gpu_option": "--gres=gpu:a100:1"}, ""),
    ],
)
def test_what_a_profile_says_of_gpus_is_for_jobs_that_need_one(resources, expected):
    assert executor.set_gres_string(SimpleNamespace(resources=resources)) == expected


@pytest.mark.parametrize(
    "line",
    [
        "slurmstepd-node7: error: StepId=3.0 exceeded memory limit (657166336 > 631242752), being killed",
        "slurmstepd: error: Detected 1 oom_kill event in StepId=93.batch. Some of the step tasks have been OOM Killed.",
        "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=93.0 cgroup.",
        "srun: error: node7: task 0: Out Of Memory",
    ],
)
def test_what_slurm_says_of_memory_is_understood(line):
    assert executor.KILLED_FOR_MEMORY.search(line)
    assert not executor.KILLED_FOR_MEMORY.search(
        "the device's room for a batch; slurmstepd: CANCELLED DUE TO TIME LIMIT"
    )


def job(rule: str, *wildcards: str) -> SimpleNamespace:
    """A job as an executor sees it."""
    return SimpleNamespace(name=rule, is_group=lambda: False, wildcards=wildcards)


def settle(folder: Path) -> None:
    """What an executor does before its first job, of a run that plans two jobs of the study `digits`."""
    run = SimpleNamespace(
        dag=SimpleNamespace(needrun_jobs=lambda: [job("stitch_pair", "task", "A", "B"), job("make_tables")]),
        workflow=SimpleNamespace(
            executor_settings=SimpleNamespace(jobname_prefix="modelstitch-digits"), workdir_init=folder
        ),
        run_uuid="modelstitch-digits_new",
        logger=LOG,
    )
    executor.Executor._settle_earlier_jobs(run)


def test_waiting_jobs_of_a_killed_run_are_cancelled_and_what_it_runs_is_waited_for(answers, tmp_path, caplog):
    """Of this study in this folder alone: not of another, nor of this run, nor of one whose jobs are none of ours."""
    pair, tables = "rule_stitch_pair_wildcards_task_A_B", "rule_make_tables"
    old, here = "modelstitch-digits_old", tmp_path
    queue = [
        ("1", old, "PENDING", here, pair),
        ("2", old, "PENDING", here, "rule_stitch_pair_wildcards_task_C_D"),  # not planned now, of the same dead run
        ("3", old, "RUNNING", here, tables),
        ("4_[1-7]", old, "PENDING", here, pair),
        ("5_1", old, "RUNNING", here, pair),  # of an array, whose comment is that of its first
        ("6", "modelstitch-digits_new", "PENDING", here, pair),
        ("7", "modelstitch-digits-2_old", "PENDING", here, pair),
        ("8", old, "PENDING", here / "other", pair),
        ("9", "modelstitch-digits_living", "PENDING", here, "rule_train_network_wildcards_E"),
        ("10", "jupyter", "RUNNING", here, ""),
    ]
    answers("squeue", "\n".join("|".join(map(str, row)) for row in queue))
    cancelled = tmp_path / "cancelled"
    (tmp_path / "scancel").write_text(f'#!/bin/sh\necho "$@" >> {cancelled}\n')
    (tmp_path / "scancel").chmod(0o755)
    try:
        settle(here)
        assert cancelled.read_text().split() == ["1", "2", "4_[1-7]", "5_1"]
        assert executor._earlier == {tables: "3"}
    finally:
        executor._earlier.clear()
    told = [record.getMessage() for record in caplog.records]
    assert told[0].endswith("still waited, cancelled: 1 2 4_[1-7] 5_1") and "that still run: 3. Their like" in told[1]


def test_nothing_is_cancelled_where_squeue_does_not_answer(answers, tmp_path, caplog):
    answers("squeue", "1|modelstitch-digits_old|PENDING|x|rule_make_tables", code=1)
    answers("scancel", "")
    (tmp_path / "scancel").write_text(f"#!/bin/sh\ntouch {tmp_path}/cancelled\n")
    settle(tmp_path)
    assert not (tmp_path / "cancelled").exists()
    assert "jobs of an earlier run may still run" in caplog.text
