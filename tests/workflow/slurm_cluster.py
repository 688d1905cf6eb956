"""A real SLURM of one node, on this machine, for as long as a command or a test needs it.

    python tests/workflow/slurm_cluster.py snakemake --profile slurm --slurm-no-account --slurm-status-command squeue

Needs root, and Debian's or Ubuntu's packages slurm-wlm and munge.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "sinfo", "squeue", "srun")
# Snakemake's jobs clear SLURM_CONF before their `srun`, which then looks here.
SYSTEM_CONF = Path("/etc/slurm/slurm.conf")
SECONDS_TO_START = 60

CONF = """\
ClusterName=modelstitch
SlurmctldHost=localhost
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge/socket
MpiDefault=none
SwitchType=switch/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1
ReturnToService=2
MinJobAge=3600
PlugStackConfig=/dev/null
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=localhost CPUs={cores} RealMemory={memory_mb} Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes=localhost Default=YES MaxTime=INFINITE State=UP
"""
# A device for the scheduler's sake: nothing computes on it.
GRES = "NodeName=localhost Name=gpu File=/dev/null\n"


class NoSlurm(Exception):
    """Why a SLURM can't be had here."""


def install() -> None:
    """Install SLURM where it is missing, and may be.

    Raises:
        NoSlurm: where SLURM is missing and can't be installed, or can't be started.
    """
    if os.geteuid() != 0:
        raise NoSlurm("SLURM's daemons need root")
    if not missing_programs():
        return
    if shutil.which("apt-get") is None:
        raise NoSlurm(f"{', '.join(missing_programs())} not found, and no apt-get to install slurm-wlm and munge")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", "slurm-wlm", "munge"]):
        done = subprocess.run(["apt-get", "-qq", *command], env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            last = (done.stderr.strip() or "no message").splitlines()[-1]
            raise NoSlurm(f"apt-get {' '.join(command)} failed: {last}")
    if missing_programs():
        raise NoSlurm(f"{', '.join(missing_programs())} not found after installing slurm-wlm and munge")


def missing_programs() -> list[str]:
    """The programs of SLURM that this machine lacks."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


@contextmanager
def one_node_cluster() -> Iterator[dict[str, str]]:
    """Run a cluster of this machine's cores, memory and one pretended GPU; gives the environment that finds it.

    Whatever happens inside, its jobs are cancelled and its daemons ended at the end.

    Raises:
        NoSlurm: where it can't be started.
    """
    with ExitStack() as stack:
        # Not in pytest's folder: the path of a Unix socket has at most 107 characters.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slurm-", ignore_cleanup_errors=True)))
        folder.chmod(0o755)
        environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
        _configure(folder)
        stack.enter_context(_as_system_configuration(folder / "slurm.conf"))
        munge = folder / "munge"
        for name, command in {
            "munged": [
                "munged",
                "--foreground",
                "--force",
                f"--socket={munge}/socket",
                f"--key-file={munge}/key",
                f"--pid-file={munge}/pid",
                f"--log-file={munge}/log",
                f"--seed-file={munge}/seed",
            ],
            "slurmctld": ["slurmctld", "-D"],
            "slurmd": ["slurmd", "-D", "-N", "localhost"],
        }.items():
            stack.enter_context(_daemon(command, environment, folder / f"{name}.log"))
        stack.callback(_cancel_jobs, environment)
        _wait_for_node(environment, folder)
        yield environment


def _configure(folder: Path) -> None:
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(mode=0o700)
    (folder / "munge/key").write_bytes(os.urandom(1024))
    (folder / "munge/key").chmod(0o400)
    controller_port, node_port = _free_ports(2)
    conf = CONF.format(
        folder=folder,
        controller_port=controller_port,
        node_port=node_port,
        cores=len(os.sched_getaffinity(0)),
        memory_mb=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 9 // 10 // 2**20,
    )
    (folder / "slurm.conf").write_text(conf)
    (folder / "gres.conf").write_text(GRES)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("", 0))
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def _as_system_configuration(conf: Path) -> Iterator[None]:
    if SYSTEM_CONF.is_symlink() and not SYSTEM_CONF.exists():
        SYSTEM_CONF.unlink()  # of a cluster that was killed
    SYSTEM_CONF.parent.mkdir(parents=True, exist_ok=True)
    try:
        SYSTEM_CONF.symlink_to(conf)
    except OSError as error:
        raise NoSlurm(f"{SYSTEM_CONF}: {error.strerror}: this machine has a SLURM of its own") from error
    try:
        yield
    finally:
        SYSTEM_CONF.unlink()


@contextmanager
def _daemon(command: list[str], environment: dict[str, str], log: Path) -> Iterator[None]:
    # It ends with this process even if that is killed.
    with log.open("w") as output:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *command], env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_node(environment: dict[str, str], folder: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        state = subprocess.run(
            ["sinfo", "--noheader", "--format=%t"], env=environment, capture_output=True, text=True
        ).stdout.strip()
        if state == "idle":
            return
        time.sleep(0.5)
    last = {log.stem: log.read_text().splitlines()[-1:] for log in sorted(folder.glob("*.log"))}
    raise NoSlurm(f"the node is {state or 'unknown'} after {SECONDS_TO_START} s; last lines of the logs: {last}")


def _cancel_jobs(environment: dict[str, str]) -> None:
    subprocess.run(["scancel", "--user=root"], env=environment, stderr=subprocess.DEVNULL)
    for _ in range(40):
        queue = subprocess.run(["squeue", "--noheader"], env=environment, capture_output=True, text=True)
        if not queue.stdout.strip():
            return
        time.sleep(0.5)


if __name__ == "__main__":
    try:
        install()
        with one_node_cluster() as environment:
            sys.exit(subprocess.run(sys.argv[1:], env=environment).returncode)
    except NoSlurm as reason:
        sys.exit(f"no SLURM: {reason}")
