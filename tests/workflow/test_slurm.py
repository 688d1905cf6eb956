"""A miniature study on a real SLURM, begun and ended here, gives the tables of a run on this machine alone."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tests.checkout import copy_checkout
from tests.workflow import slurm_cluster

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
# The cluster has no accounting, and neither a slow file system nor many users.
ON_THIS_CLUSTER = [
    "--slurm-no-account",
    "--slurm-status-command=squeue",
    "--slurm-init-seconds-before-status-checks=2",
    "--latency-wait=5",
    "--retries=0",
]


@pytest.fixture(scope="module")
def cluster():
    try:
        slurm_cluster.install()
        with slurm_cluster.one_node_cluster() as environment:
            yield environment
    except slurm_cluster.NoSlurm as reason:
        pytest.skip(f"no SLURM: {reason}")


@pytest.fixture
def checkout(tmp_path):
    """Makes copies of this checkout that have the study of a test, and no results."""

    def make(name: str) -> Path:
        folder = copy_checkout(tmp_path / name)
        (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
        return folder

    return make


def run(folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> str:
    command = [sys.executable, "-m", "snakemake", *arguments, "--configfile", "study.yaml"]
    done = subprocess.run(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=500
    )
    logs = [log.read_text() for log in folder.glob(".snakemake/slurm_logs/**/*.log")]
    assert done.returncode == 0, "\n\n".join([done.stdout, *logs])
    return done.stdout


def test_a_study_on_a_cluster_gives_the_tables_of_a_local_one(cluster, checkout):
    local, remote = checkout("local"), checkout("remote")
    run(local, "--cores=2")
    run(remote, "--profile=slurm", *ON_THIS_CLUSTER, environment=cluster)
    for table in ("cells.csv", "networks.csv"):
        path = Path("results/tiny/tables") / table
        assert (remote / path).read_bytes() == (local / path).read_bytes()

    jobs = finished_jobs(cluster)
    assert {job["state"] for job in jobs} == {"COMPLETED"}
    assert all(job["name"].startswith("modelstitch_") for job in jobs)
    asked = Counter(job["rule"] for job in jobs)
    expected = {"prepare_dataset": 1, "train_network": 1, "initialise_network": 1, "stitch_pair": 2, "make_tables": 1}
    assert asked.items() >= expected.items()
    # No gpu among what a job on processors asks for; cores, memory and time are those of its rule.
    assert {(job["cores"], job["gpu"]) for job in jobs} == {("1", "N/A")}
    tables = next(job for job in jobs if job["rule"] == "make_tables")
    assert (tables["memory"], tables["time"]) == ("4000M", "1:00:00")


def finished_jobs(cluster: dict[str, str]) -> list[dict[str, str]]:
    """All jobs that the cluster has had, and what each asked for."""
    names = ("name", "state", "cores", "memory", "time", "gpu", "comment")
    command = ["squeue", "--states=all", "--noheader", "--format=%j|%T|%C|%m|%l|%b|%k"]
    rows = subprocess.run(command, env=cluster, check=True, capture_output=True, text=True).stdout.splitlines()
    jobs = [dict(zip(names, row.split("|"), strict=True)) for row in rows]
    return [job | {"rule": job["comment"].removeprefix("rule_").split("_wildcards_")[0]} for job in jobs]
