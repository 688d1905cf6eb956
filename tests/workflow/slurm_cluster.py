"""A real SLURM of one node, on this machine, for as long as a command or a test needs it.

    python tests/workflow/slurm_cluster.py [--accounting] snakemake --profile slurm

Needs root, and Debian's or Ubuntu's packages slurm-wlm and munge; with accounting, slurmdbd and mariadb-server too.
"""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "sinfo", "squeue", "srun")
ACCOUNTING_PROGRAMS = ("slurmdbd", "sacctmgr", "sacct", "mariadbd", "mariadb-install-db")
PACKAGES, ACCOUNTING_PACKAGES = ("slurm-wlm", "munge"), ("slurmdbd", "mariadb-server")
# Snakemake's jobs clear SLURM_CONF before their `srun`, which then looks here.
SYSTEM_CONF = Path("/etc/slurm/slurm.conf")
SECONDS_TO_START = 60
PREFIX = "slurm-"
MUNGE_FILES = {"socket": "socket", "key-file": "key", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}

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
# What uses more memory than it asked for is killed, within seconds.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
KillWait=5
SlurmdTimeout=10
{accounting}
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
PartitionName=accelerated Nodes=localhost MaxTime=INFINITE State=UP
"""
NO_ACCOUNTING = "AccountingStorageType=accounting_storage/none"
ACCOUNTING = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort={port}
AccountingStoragePass={folder}/munge/socket
"""
DATABASE_CONF = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
DbdHost=localhost
DbdPort={port}
SlurmUser=root
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={storage_port}
StorageUser=slurm
StoragePass=slurm
StorageLoc=accounting
"""
# A device for the scheduler's sake: nothing computes on it.
GRES = "NodeName=localhost Name=gpu File=/dev/null\n"


class NoSlurm(Exception):
    """Why a SLURM can't be had here."""


def install(accounting: bool = False) -> None:
    """Install SLURM where it is missing, and may be.

    Raises:
        NoSlurm: where SLURM is missing and can't be installed, or can't be started.
    """
    if os.geteuid() != 0:
        raise NoSlurm("SLURM's daemons need root")
    if not missing_programs(accounting):
        return
    packages = [*PACKAGES, *(ACCOUNTING_PACKAGES if accounting else ())]
    missing = ", ".join(missing_programs(accounting))
    if shutil.which("apt-get") is None:
        raise NoSlurm(f"{missing} not found, and no apt-get to install {', '.join(packages)}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        done = subprocess.run(["apt-get", "-qq", *command], env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            last = (done.stderr.strip() or "no message").splitlines()[-1]
            raise NoSlurm(f"apt-get {' '.join(command)} failed: {last}")
    if missing_programs(accounting):
        raise NoSlurm(f"{', '.join(missing_programs(accounting))} not found after installing {', '.join(packages)}")


def missing_programs(accounting: bool = False) -> list[str]:
    """The programs of SLURM that this machine lacks."""
    programs = [*PROGRAMS, *(ACCOUNTING_PROGRAMS if accounting else ())]
    return [program for program in programs if shutil.which(program) is None]


class Cluster:
    """A running cluster: the environment that finds it, and its daemons, which a test may kill and start again."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
        self._commands: dict[str, list[str]] = {}
        self._daemons: dict[str, subprocess.Popen] = {}

    def ask(self, *command: str) -> str:
        """What a command of SLURM prints."""
        return subprocess.run(command, env=self.environment, check=True, capture_output=True, text=True).stdout

    def start(self, name: str, command: list[str] | None = None) -> None:
        """Start a daemon, again if no command is given; it ends with this process even if that is killed."""
        self._commands[name] = command or self._commands[name]
        with (self.folder / f"{name}.log").open("a") as output:
            self._daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *self._commands[name]],
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def stop(self, name: str, number: int = signal.SIGTERM) -> None:
        """End a daemon, at last by force."""
        process = self._daemons[name]
        process.send_signal(number)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def cancel_jobs(self) -> None:
        """End all jobs."""
        subprocess.run(["scancel", "--user=root"], env=self.environment, stderr=subprocess.DEVNULL)
        for _ in range(40):
            queue = subprocess.run(["squeue", "--noheader"], env=self.environment, capture_output=True, text=True)
            if not queue.stdout.strip():
                return
            time.sleep(0.5)

    def wait_until(self, command: list[str], expected: str) -> None:
        """Wait until a command of SLURM prints something.

        Raises:
            NoSlurm: if it never does, with the daemons' last words.
        """
        deadline = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < deadline:
            found = subprocess.run(command, env=self.environment, capture_output=True, text=True).stdout.strip()
            if found == expected:
                return
            time.sleep(0.5)
        last = {log.stem: log.read_text().splitlines()[-1:] for log in sorted(self.folder.glob("*.log"))}
        raise NoSlurm(
            f"{' '.join(command)}: {found or 'nothing'} after {SECONDS_TO_START} s; last lines of the logs: {last}"
        )


@contextmanager
def one_node_cluster(accounting: bool = False) -> Iterator[Cluster]:
    """Run a cluster of this machine's cores, memory and one pretended GPU.

    Whatever happens inside, its jobs are cancelled and its daemons ended at the end.

    Raises:
        NoSlurm: where it can't be started.
    """
    with ExitStack() as stack:
        # Not in pytest's folder: the path of a Unix socket has at most 107 characters.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)))
        folder.chmod(0o755)
        cluster = Cluster(folder)
        (folder / "pid").write_text(str(os.getpid()))
        ports = _configure(folder, accounting)
        stack.enter_context(_as_system_configuration(folder / "slurm.conf"))
        munge = folder / "munge"

        def start(name: str, *command: str) -> None:
            cluster.start(name, [name, *command])
            stack.callback(cluster.stop, name)

        files = [f"--{name}={munge}/{file}" for name, file in MUNGE_FILES.items()]
        start("munged", "--foreground", "--force", *files)
        if accounting:
            _start_database(folder / "database", ports["storage"], start)
            start("slurmdbd", "-D")
            cluster.wait_until(["sacctmgr", "--noheader", "--parsable2", "list", "user", "format=user"], "root")
            cluster.ask("sacctmgr", "--immediate", "add", "cluster", "modelstitch")
        start("slurmctld", "-D")
        start("slurmd", "-D", "-N", "localhost")
        stack.callback(cluster.cancel_jobs)
        cluster.wait_until(["sinfo", "--noheader", "--format=%t", "--partition=main"], "idle")
        yield cluster


@contextmanager
def only_one() -> Iterator[None]:
    """Wait until no other process is within: a machine has one `/etc/slurm/slurm.conf`."""
    with (Path(tempfile.gettempdir()) / "modelstitch-slurm.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _start_database(folder: Path, port: int, start: Callable[..., None]) -> None:
    subprocess.run(
        ["mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={folder}", "--skip-test-db"],
        check=True,
        capture_output=True,
    )
    allowed = folder.parent / "allowed.sql"
    allowed.write_text(
        "CREATE USER slurm@'127.0.0.1' IDENTIFIED BY 'slurm';\nGRANT ALL ON accounting.* TO slurm@'127.0.0.1';\n"
    )
    start(
        "mariadbd",
        "--no-defaults",
        "--user=root",
        f"--datadir={folder}",
        f"--socket={folder}.socket",
        f"--port={port}",
        "--bind-address=127.0.0.1",
        "--skip-name-resolve",
        f"--init-file={allowed}",
    )
    for _ in range(2 * SECONDS_TO_START):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.5)
    raise NoSlurm(f"the database does not answer: {(folder.parent / 'mariadbd.log').read_text()[-500:]}")


def _configure(folder: Path, accounting: bool) -> dict[str, int]:
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(mode=0o700)
    (folder / "munge/key").write_bytes(os.urandom(1024))
    (folder / "munge/key").chmod(0o400)
    ports = dict(zip(("controller", "node", "accounting", "storage"), _free_ports(4), strict=True))
    conf = CONF.format(
        folder=folder,
        controller_port=ports["controller"],
        node_port=ports["node"],
        cores=len(os.sched_getaffinity(0)),
        memory_mb=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 9 // 10 // 2**20,
        accounting=ACCOUNTING.format(folder=folder, port=ports["accounting"]) if accounting else NO_ACCOUNTING,
    )
    (folder / "slurm.conf").write_text(conf)
    (folder / "gres.conf").write_text(GRES)
    database = folder / "slurmdbd.conf"
    database.touch(mode=0o600)
    database.write_text(DATABASE_CONF.format(folder=folder, port=ports["accounting"], storage_port=ports["storage"]))
    return ports


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("", 0))
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def _as_system_configuration(conf: Path) -> Iterator[None]:
    if SYSTEM_CONF.is_symlink():
        _remove_what_a_killed_one_left(Path(os.readlink(SYSTEM_CONF)).parent)
    SYSTEM_CONF.parent.mkdir(parents=True, exist_ok=True)
    try:
        SYSTEM_CONF.symlink_to(conf)
    except OSError as error:
        raise NoSlurm(
            f"{SYSTEM_CONF}: {error.strerror}: this machine has a SLURM of its own, or a running test"
        ) from error
    try:
        yield
    finally:
        SYSTEM_CONF.unlink()


def _remove_what_a_killed_one_left(folder: Path) -> None:
    """The link of a cluster whose process is gone, and its folder, once its daemons have written their last."""
    if not folder.name.startswith(PREFIX) or _runs(folder / "pid"):
        return
    daemons = [folder / name for name in ("slurmctld.pid", "slurmd.pid", "munge/pid")]
    for _ in range(40):
        if not any(map(_runs, daemons)):
            break
        time.sleep(0.5)
    SYSTEM_CONF.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def _runs(pid: Path) -> bool:
    try:
        os.kill(int(pid.read_text()), 0)
    except (OSError, ValueError):
        return False
    return True


def end_on_signals() -> None:
    """Let SIGTERM and SIGHUP end this process as Ctrl-C does, so that nothing is left behind."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))


if __name__ == "__main__":
    end_on_signals()
    arguments = sys.argv[1:]
    accounting = arguments[:1] == ["--accounting"]
    try:
        install(accounting)
        with (
            one_node_cluster(accounting) as cluster,
            subprocess.Popen(arguments[accounting:], env=cluster.environment) as process,
        ):
            try:
                sys.exit(process.wait())
            finally:
                process.terminate()
    except NoSlurm as reason:
        sys.exit(f"no SLURM: {reason}")
