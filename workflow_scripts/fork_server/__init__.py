"""Runs local jobs as forks of a server process that has already imported torch, so that jobs need not import it.

`use` replaces the way in which Snakemake starts a Python script. Each job is still a process of its own, with the
environment, the log, the benchmark and the exit code that Snakemake would give it. A run has a server for each
environment (jobs with one and with four threads have different ones), and separate servers for jobs without torch,
which then do not hold its memory. A server starts with its first job and ends with the run.
"""

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from snakemake.benchmark import benchmarked
from snakemake.script import PythonScript

from modelstitch.planning.fingerprint import imports

SERVER = Path(__file__).with_name("server.py")
# Set as by Snakemake's `shell`, and already for the server, since libraries read them when they are loaded.
THREADS = ("OMP", "GOTO", "OPENBLAS", "MKL", "VECLIB_MAXIMUM", "NUMEXPR")
TEMPORARY = ("TMPDIR", "TMP", "TEMPDIR", "TEMP")

_start_alone = PythonScript.execute_script
_servers: dict[tuple, "Server"] = {}
_lock = threading.Lock()


class NoServer(Exception):
    """The server has started no process, so the job must be started without it."""


class Job(NamedTuple):
    """A forked process that waits until it is told to begin."""

    pid: int
    socket: socket.socket

    def run(self) -> int:
        """Let the job begin, and wait for its end.

        Returns:
            Its exit code, as a shell reports it.
        """
        with contextlib.suppress(BrokenPipeError):  # the job was killed before it began
            self.socket.sendall(b"\n")
        code = _number(self.socket)
        return 128 + signal.SIGKILL if code is None else code  # the server was killed, and the job with it


class Server:
    """A server process, which forks for each job."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._control, control = socket.socketpair()
        with control:
            self._process = subprocess.Popen(
                [sys.executable, str(SERVER), str(control.fileno())], env=environment, pass_fds=[control.fileno()]
            )
        atexit.register(self.end)

    def end(self) -> None:
        """End the server and wait for it, so that the CPU time of its jobs counts as this run's."""
        self._control.close()
        self._process.wait()

    @contextlib.contextmanager
    def fork(self, script: str) -> Iterator[Job]:
        """A context with a job that will run a script.

        Raises:
            NoServer: if the server has ended, or could start no process.
        """
        ours, job = socket.socketpair()
        with ours:
            with job:
                try:
                    socket.send_fds(self._control, [os.path.abspath(script).encode()], [job.fileno()])
                except OSError as error:
                    raise NoServer from error
            pid = _number(ours)
            if pid is None:
                raise NoServer
            yield Job(pid, ours)


def use(scripts: Path) -> None:
    """Run the scripts of a folder as forks of a server, on Linux only: forks are not safe on other systems."""
    if sys.platform != "linux":
        return

    def execute_script(self: PythonScript, name: str, edit: bool = False) -> None:
        elsewhere = self.container_img or self.conda_env or self.env_modules or self.shadow_dir
        if elsewhere or not self.is_local or Path(self.local_path).parent.resolve() != scripts.resolve():
            return _start_alone(self, name, edit)
        server = _server(environment(self.threads, self.resources), imports("torch", self.local_path))
        try:
            with server.fork(name) as job:
                measured = benchmarked(job.pid, self.bench_record) if self.bench_record else contextlib.nullcontext()
                with measured:
                    code = job.run()
        except NoServer:
            return _start_alone(self, name, edit)
        if code - 128 in signal.valid_signals():
            print(f"{self.rulename}: ended by signal {code - 128}", file=sys.stderr, flush=True)
        if code:
            raise subprocess.CalledProcessError(code, f"{sys.executable} {name}")

    PythonScript.execute_script = execute_script


def environment(threads: int, resources: Mapping[str, Any]) -> dict[str, str]:
    """The environment variables that Snakemake gives a job."""
    temporary = resources.get("tmpdir")
    return (
        dict(os.environ)
        | {f"{name}_NUM_THREADS": str(threads) for name in THREADS}
        | ({name: str(temporary) for name in TEMPORARY} if temporary else {})
    )


def _server(surroundings: dict[str, str], with_torch: bool) -> Server:
    with _lock:
        key = with_torch, *sorted(surroundings.items())
        if key not in _servers:
            _servers[key] = Server(surroundings)
        return _servers[key]


def _number(one: socket.socket) -> int | None:
    """Read a line with a number; None if the other end is closed before."""
    try:
        with one.makefile("rb", buffering=0) as file:
            line = file.readline()
            return int(line) if line else None
    except ConnectionResetError:
        return None
