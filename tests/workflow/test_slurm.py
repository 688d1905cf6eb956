"""A miniature study on a real SLURM, begun and ended here, gives the tables of a run on this machine alone."""

import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from tests.checkout import copy_checkout
from tests.workflow import slurm_cluster

SECONDS = 1800  # for a run, on a machine that has other work
STUDY = {
    "study": "tiny",
    "seed": 3,
    "dataset": {"source": "digits"},
    "networks": {
        "architectures": ["R1111"],
        "width": 2,
        "seeds": [0],
        "training": {
            "optimiser": "sgd",
            "epochs": 1,
            "batch": 128,
            "learning_rate": 0.1,
            "momentum": 0.9,
            "weight_decay": 0.0005,
            "warmup_epochs": 0,
            "augmentation": {"flip": False, "shift": 2, "cutout": 4},
            "precision": "float32",
        },
    },
    "pairs": [{"sender": "trained", "receiver": "trained"}, {"sender": "random", "receiver": "trained"}],
    "stitches": {
        "task": {
            "protocol": "paper",
            "epochs": 0.5,
            "batch": 64,
            "learning_rate": 0.01,
            "momentum": 0.9,
            "weight_decay": 0.01,
            "warmup_epochs": 0,
            "augmentation": {"flip": False, "shift": 0, "cutout": 0},
            "precision": "float32",
            "sender_layers": [0, 2],
            "receiver_layers": [2, 4],
            "keep_stitches": False,
        }
    },
    "measures": {},
    "figures": {"colormap": "viridis", "formats": ["png"]},
    "jobs": {"layers_per_job": None, "threads": 1, "device": "cpu"},
}
# Neither a slow file system nor many users.
ON_THIS_CLUSTER = [
    "--slurm-init-seconds-before-status-checks=2",
    "--max-status-checks-per-second=1",
    "--latency-wait=5",
]
TABLES = ["results/tiny/tables/cells.csv", "results/tiny/tables/networks.csv"]
# A job waits here before its work, and not if it finds that done.
WAIT = "job.begin(snakemake)\nimport pathlib, time\nif pathlib.Path('slow').exists():\n    time.sleep({seconds})\n"


@pytest.fixture
def start_cluster():
    """Starts a cluster with or without accounting; one at a time, whichever process of the tests asks."""
    slurm_cluster.end_on_signals()
    with ExitStack() as stack:

        def start(accounting: bool) -> slurm_cluster.Cluster:
            try:
                stack.enter_context(slurm_cluster.only_one())
                slurm_cluster.install(accounting)
                return stack.enter_context(slurm_cluster.one_node_cluster(accounting))
            except slurm_cluster.NoSlurm as reason:
                pytest.skip(f"no SLURM: {reason}")

        yield start


@pytest.fixture
def checkout(tmp_path):
    """Makes copies of this checkout that have the study of a test, and no results."""

    def make(name: str) -> Path:
        folder = copy_checkout(tmp_path / name)
        (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
        return folder

    return make


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The study, run on this machine alone."""
    folder = copy_checkout(tmp_path_factory.mktemp("local"))
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
    run(folder, "--cores=2", *TABLES)
    return folder


BEGUN: list[subprocess.Popen] = []


@pytest.fixture(autouse=True)
def ended():
    """No Snakemake outlives its test."""
    yield
    while BEGUN:
        process = BEGUN.pop()
        process.kill()
        process.wait()


def begin(folder: Path, *arguments: str, cluster: slurm_cluster.Cluster | None = None) -> subprocess.Popen:
    command = [sys.executable, "-m", "snakemake", *arguments, "--configfile", "study.yaml"]
    if cluster:
        command += ["--profile=slurm", *ON_THIS_CLUSTER]
    with (folder / "output").open("w") as output:
        environment = cluster.environment if cluster else None
        BEGUN.append(subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT))
    return BEGUN[-1]


def end(folder: Path, process: subprocess.Popen, code: int = 0) -> str:
    try:
        process.wait(SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
    output = (folder / "output").read_text()
    logs = [log.read_text() for log in folder.glob(".snakemake/slurm_logs/**/*.log")]
    assert process.returncode == code, "\n\n".join([output, *logs])
    return output


def run(folder: Path, *arguments: str, cluster: slurm_cluster.Cluster | None = None, code: int = 0) -> str:
    return end(folder, begin(folder, *arguments, cluster=cluster), code)


def wait_for(cluster: slurm_cluster.Cluster, rule: str, state: str) -> str:
    """Number of the first job of a rule that is in a state."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        for job in jobs_of(cluster):
            if (job["rule"], job["state"]) == (rule, state):
                return job["id"]
        time.sleep(0.5)
    raise AssertionError(f"no {rule} is {state}: {jobs_of(cluster)}")


def assert_same_tables(one: Path, other: Path) -> None:
    for table in TABLES:
        assert (one / table).read_bytes() == (other / table).read_bytes()
    assert not list(one.rglob("*.kept"))


def jobs_of(cluster: slurm_cluster.Cluster) -> list[dict[str, str]]:
    """All jobs that the cluster has had, in their order, and what each asked for."""
    names = ("id", "name", "state", "cores", "memory", "time", "partition", "comment")
    rows = cluster.ask("squeue", "--states=all", "--noheader", "--sort=i", "--format=%i|%j|%T|%C|%m|%l|%P|%k")
    jobs = [dict(zip(names, row.split("|"), strict=True)) for row in rows.splitlines()]
    return [job | {"rule": job["comment"].removeprefix("rule_").split("_wildcards_")[0]} for job in jobs]


def gpus_of(cluster: slurm_cluster.Cluster, job: dict[str, str]) -> list[str]:
    """How many GPUs a job asks for, if any."""
    return re.findall(r"gres:gpu:(\d+)", cluster.ask("scontrol", "show", "job", job["id"]))


def test_a_study_on_a_cluster_gives_the_tables_of_a_local_one(start_cluster, checkout, local):
    cluster = start_cluster(accounting=False)
    remote = checkout("remote")
    output = run(remote, cluster=cluster)
    assert_same_tables(remote, local)
    assert "account" not in output

    jobs = jobs_of(cluster)
    assert {job["state"] for job in jobs} == {"COMPLETED"}
    assert all(job["name"].startswith("modelstitch-tiny_") for job in jobs)
    asked = Counter(job["rule"] for job in jobs)
    expected = {"prepare_dataset": 1, "train_network": 1, "initialise_network": 1, "stitch_pair": 2, "make_tables": 1}
    assert asked.items() >= expected.items()
    # No GPU among what a job on processors asks for; cores, memory and time are those of its rule.
    assert {job["cores"] for job in jobs} == {"1"}
    assert not any(gpus_of(cluster, job) for job in jobs)
    tables = next(job for job in jobs if job["rule"] == "make_tables")
    assert (tables["memory"], tables["time"]) == ("1313M", "11:00")


def test_what_cancels_kills_or_loses_jobs_ends_in_the_same_tables(start_cluster, checkout, local):
    cluster = start_cluster(accounting=True)
    remote = checkout("remote")
    script = remote / "workflow_scripts/stitch_pair.py"
    script.write_text(script.read_text().replace("job.begin(snakemake)\n", WAIT.format(seconds=15)))

    # A waiting job is cancelled, and then a running one: sacct says "CANCELLED by 0".
    cluster.ask("scontrol", "update", "partitionname=main", "state=down")
    process = begin(remote, *TABLES, cluster=cluster)
    cluster.ask("scancel", wait_for(cluster, "prepare_dataset", "PENDING"))
    assert "prepare_dataset: it was cancelled by user 0; not tried again" in end(remote, process, code=1)
    cluster.ask("scontrol", "update", "partitionname=main", "state=up")
    process = begin(remote, *TABLES, cluster=cluster)
    cluster.ask("scancel", wait_for(cluster, "initialise_network", "RUNNING"))
    assert "initialise_network R1111_random_s0: it was cancelled" in end(remote, process, code=1)

    # The node is lost with a job on it; then Snakemake is killed while a job runs, which goes on.
    (remote / "slow").touch()
    process = begin(remote, *TABLES, cluster=cluster)
    wait_for(cluster, "initialise_network", "RUNNING")
    cluster.stop("slurmd", signal.SIGKILL)
    cluster.stop("slurmctld", signal.SIGKILL)
    cluster.start("slurmctld")
    cluster.start("slurmd")
    running = wait_for(cluster, "stitch_pair", "RUNNING")
    process.kill()
    process.wait()
    run(remote, *TABLES, "--unlock")
    output = run(remote, *TABLES, cluster=cluster)
    assert f"Jobs of an earlier run of this study that still run: {running}. " in output
    log = (remote / "results/tiny/logs/stitch_pair/task/R1111_random_s0/R1111_trained_s0.log").read_text()
    assert "was finished by a job of an earlier run: nothing to do" in log
    assert_same_tables(remote, local)


def test_a_job_asks_for_more_of_what_it_lacked_and_not_of_the_rest(start_cluster, checkout, local):
    cluster = start_cluster(accounting=True)
    remote = checkout("remote")
    with (remote / "modelstitch/planning/requests.py").open("a") as file:
        file.write("\n\ndef network_mb(plan, network):\n    return 300\n")
        file.write("\n\ndef pair_minutes(plan, *cells):\n    return 2\n")
    script = remote / "workflow_scripts/stitch_pair.py"
    script.write_text(script.read_text().replace("job.begin(snakemake)\n", WAIT.format(seconds=600)))
    (remote / "slow").touch()
    process = begin(remote, *TABLES, cluster=cluster)
    wait_for(cluster, "stitch_pair", "TIMEOUT")
    (remote / "slow").unlink()
    output = end(remote, process)
    asked = {
        rule: [job for job in jobs_of(cluster) if job["rule"] == rule] for rule in ("initialise_network", "stitch_pair")
    }
    killed, done = asked["initialise_network"]
    assert (done["memory"], done["time"], done["state"]) == ("1204M", killed["time"], "COMPLETED")
    assert killed["memory"] == "602M"
    assert len({job["memory"] for job in asked["stitch_pair"]}) == 1
    assert {job["time"] for job in asked["stitch_pair"] if job["state"] == "COMPLETED"} >= {"4:00"}
    assert "it used more memory than the 602 MB that it asked for" in output
    assert "it reached its time limit of 2 minutes" in output
    assert list(remote.glob("results/tiny/logs/stitch_pair/task/*/*.failed-*.log"))
    assert_same_tables(remote, local)


def test_jobs_that_need_a_gpu_go_where_one_is_and_are_not_tried_again_where_torch_finds_none(start_cluster, checkout):
    cluster = start_cluster(accounting=True)
    remote = checkout("remote")
    study = STUDY | {"jobs": STUDY["jobs"] | {"device": "cuda"}}
    (remote / "study.yaml").write_text(yaml.safe_dump(study))
    (remote / "partitions.yaml").write_text(yaml.safe_dump({"partitions": {"main": {}, "accelerated": {"max_gpu": 1}}}))
    output = run(remote, "--slurm-partition-config=partitions.yaml", *TABLES, cluster=cluster, code=1)
    jobs = jobs_of(cluster)
    asked = [(job["rule"], job["partition"], gpus_of(cluster, job)) for job in jobs]
    assert sorted(asked) == [
        ("initialise_network", "accelerated", ["1"]),
        ("prepare_dataset", "main", []),
        ("train_network", "accelerated", ["1"]),
    ]
    assert "train_network R1111_trained_s0: device cuda: torch finds no GPU here" in output


def test_a_cluster_that_is_ended_leaves_nothing_behind(tmp_path):
    """By SIGTERM it cleans up; what SIGKILL leaves is removed by the next one."""
    with slurm_cluster.only_one():
        try:
            slurm_cluster.install()
        except slurm_cluster.NoSlurm as reason:
            pytest.skip(f"no SLURM: {reason}")
        for number in (signal.SIGTERM, signal.SIGKILL):
            begun = tmp_path / f"begun-{number}"
            command = [sys.executable, slurm_cluster.__file__, "sh", "-c", f"touch {begun}; exec sleep 1000"]
            process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
            while not begun.exists():
                assert process.poll() is None, process.stderr.read()
                time.sleep(0.2)
            folder = slurm_cluster.SYSTEM_CONF.readlink().parent
            process.send_signal(number)
            process.wait(60)
            if number == signal.SIGTERM:
                assert not slurm_cluster.SYSTEM_CONF.is_symlink()
                assert not folder.exists()
        with slurm_cluster.one_node_cluster() as cluster:
            assert not folder.exists()
            assert cluster.ask("sinfo", "--noheader", "--format=%t", "--partition=main").strip() == "idle"
