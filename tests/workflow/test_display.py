"""What a run says: a line for each finished job, what is done, the time left, and of a failure where to look."""

import logging
import os
import sys
import time
from types import SimpleNamespace

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from tests.checkout import ROOT

sys.path.append(str(ROOT / "workflow_scripts"))
from snakemake_logger_plugin_study import run
from snakemake_logger_plugin_study.plan import Plan
from snakemake_logger_plugin_study.run import Expected, Job, Report, Run, Work, duration, report_of, seconds_left


@pytest.fixture(autouse=True)
def expected(monkeypatch):
    found = Expected()
    monkeypatch.setattr(run, "EXPECTED", found)
    monkeypatch.setenv(run.QUIET, "")
    return found


@pytest.fixture
def display():
    shown = Run()
    yield shown
    shown.end()


def record(event=None, level=logging.INFO, **values):
    return SimpleNamespace(event=event, levelno=level, **values)


def start(display, jobid, rule, log, *wildcards):
    named = dict(enumerate(wildcards))
    display.hear(record(LogEvent.JOB_INFO, jobid=jobid, rule_name=rule, wildcards=named, log=[str(log)]), "")


def finish(display, jobid):
    display.hear(record(LogEvent.JOB_FINISHED, job_id=jobid), "")


def running(first=None, last=None):
    """A job whose log told two shares, each with the time when it did."""
    return Job("stitch a b", "", 0.0, first=first and Report(*first), last=last and Report(*last))


def test_the_time_left_is_what_jobs_of_the_same_rule_took_by_their_operations(expected):
    expected.jobs = {
        1: Work("stitch", 10, 100),
        2: Work("stitch", 10, 300),
        3: Work("train", 0, 1000),
        4: Work("draw"),
        5: Work("draw"),
    }
    assert seconds_left({}, {}) is None  # nothing tells how fast the machine is
    # 3 s more for three times the operations, as long for each of the network's, and two short jobs.
    assert seconds_left({1: 1.0}, {}) == pytest.approx(3 + 10 + 2 * run.SHORT_JOB)
    # Networks have their own speed, drawings their own time, and a half of job 2 is done.
    half = {2: running((0.5, 9), (0.5, 9))}
    assert seconds_left({1: 1.0, 3: 50.0, 4: 2.0}, half) == pytest.approx(1.5 + 2)
    expected.at_once = 2
    assert seconds_left({1: 1.0, 3: 50.0, 5: 2.0}, half) == pytest.approx(2)  # as the longest takes
    assert seconds_left({1: 1.0, 3: 50.0}, half) == pytest.approx((1.5 + 2 * run.SHORT_JOB) / 2)
    assert seconds_left(dict.fromkeys(expected.jobs, 1.0), {}) == 0


def test_before_a_job_has_finished_two_reports_of_a_running_one_tell_the_time_left(expected):
    expected.jobs = {1: Work("train", 0, 1000), 2: Work("train", 0, 2000), 3: Work("stitch", 10, 500)}
    assert seconds_left({}, {1: running()}) is None
    assert seconds_left({}, {1: running((0.5, 100), (0.5, 100))}) is None  # it may have gone on from an earlier run
    # 250 operations in 5 s: half of job 1 is 500, and all others are 2,500.
    assert seconds_left({}, {1: running((0.25, 100), (0.5, 105))}) == pytest.approx(10 + 40 + 10)
    # A stitch's own speed counts for stitches, and a finished training more than a running one's reports.
    both = {2: running((0.25, 100), (0.5, 105)), 3: running((0.2, 100), (0.6, 104))}
    assert seconds_left({1: 2.0}, both) == pytest.approx(2 + 4)


def test_a_running_job_is_done_as_far_as_its_log_says(tmp_path):
    log = tmp_path / "a.log"
    assert report_of(str(log)) is report_of("") is None
    log.write_text("x of y\n")
    assert report_of(str(log)) is None
    log.write_text("1 of 4, 30 s left\n" * 100 + "3 of 4, 10 s left\n")
    os.utime(log, (1000, 1000))
    assert report_of(str(log)) == (0.75, 1000)
    job = Job("stitch a b", str(log), 0.0, begun=1100)
    job.look()
    assert job.share == 0  # the log is of the run before
    os.utime(log, (1101, 1101))
    job.look()
    assert (job.share, job.first) == (0.75, (0.75, 1101))


def test_before_anything_tells_a_speed_the_progress_says_what_is_awaited(display, expected, tmp_path):
    expected.jobs = {1: Work("train", 0, 100), 2: Work("stitch", 20, 100)}
    log = tmp_path / "1.log"
    start(display, 1, "train", log)
    assert display.progress() == f"0 of 2 jobs, 0 of 20 cells, {run.AWAITED}"
    for epoch in (1, 2):
        log.write_text(f"R1111: epoch {epoch} of 4: loss 0.1")
        os.utime(log, (time.time() + 60 * epoch,) * 2)
        shown = display.progress()
    assert shown == "0 of 2 jobs, 0 of 20 cells, 6 min left"  # a minute an epoch, two of four are left


def test_a_finished_job_is_a_line_with_what_is_done(display, expected, tmp_path, capsys):
    expected.jobs = {1: Work("stitch", 20, 100), 2: Work("stitch", 20, 100)}
    start(display, 1, "stitch", tmp_path / "1.log", "task", "a", "b")
    start(display, 2, "stitch", tmp_path / "2.log", "task", "b", "a")
    (tmp_path / "2.log").write_text("5 of 10, 3 s left\n")
    display.running[1].start -= 8
    finish(display, 1)
    finish(display, 2)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "1 of 2 jobs, 30 of 40 cells, 4 s left | stitch task a b: 8 s",
        "2 of 2 jobs, 40 of 40 cells, 0 s left | stitch task b a: 0 s",
    ]


def test_on_a_terminal_one_line_is_rewritten_below_the_finished_jobs(display, expected, capsys, tmp_path):
    expected.jobs = {1: Work("draw"), 2: Work("draw")}
    display.terminal = True
    start(display, 1, "draw", tmp_path / "1.log")
    start(display, 2, "draw", tmp_path / "2.log")
    deadline = time.monotonic() + 20
    while not (shown := capsys.readouterr().err):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert shown == "\r\x1b[2K0 of 2 jobs, 12 s left"
    display.running[1].start -= 1000
    finish(display, 1)
    lines = capsys.readouterr().err.replace("\r", "").splitlines()
    assert "\x1b[2Kdraw: 17 min" in lines and lines[-1].endswith("1 of 2 jobs, 17 min left")
    display.end()
    assert capsys.readouterr().err.endswith("\r\x1b[2K")


def test_a_failed_job_is_told_with_its_log_and_where_snakemake_says_the_rest(display, capsys):
    values = {"jobid": 1, "rule_name": "stitch", "output": ["a.h5", "b"], "log": ["a.log"], "rule_msg": "out of memory"}
    display.hear(record(LogEvent.JOB_ERROR, logging.ERROR, **values), "Error in rule stitch, with 4,900 files")
    display.hear(record(), "Select jobs to execute...")
    display.hear(record(level=logging.WARNING), "a warning")
    display.hear(record(), "Complete log(s): /x/y.log")
    display.end()
    assert capsys.readouterr().err.splitlines() == [
        "stitch failed: a.h5 (log: a.log)",
        "    out of memory",
        "a warning",
        "What Snakemake says of it: /x/y.log",
    ]


def test_a_plan_counts_jobs_by_rule_and_reason(capsys):
    plan = Plan()
    for reason in ("Missing output files: a", "Missing output files: b", "Params have changed since last execution"):
        plan.hear(record(LogEvent.JOB_INFO, rule_name="stitch", reason=reason), "")
    plan.end()
    assert capsys.readouterr().out.splitlines()[1] == ("stitch     3  not there yet: 2; settings or code changed: 1")


def test_a_plan_of_nothing_is_told_where_snakemake_says_so_and_not_after_a_mistake(capsys):
    Plan().end()  # as after a study file that can't be read, of which Snakemake logs nothing
    assert capsys.readouterr().out == ""
    plan = Plan()
    plan.hear(record(), "Nothing to be done (all requested files are present and up to date).")
    plan.end()
    assert capsys.readouterr().out == "Nothing to be done: all results are there, and none is stale.\n"


def test_times_are_told_in_the_unit_that_one_reads():
    assert [duration(value) for value in (0.4, 59, 61, 3599, 7800)] == [
        "0 s",
        "59 s",
        "1 min",
        "1 h 0 min",
        "2 h 10 min",
    ]
