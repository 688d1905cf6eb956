"""The server process: it imports once what the jobs' scripts import, and forks for each job.

It uses the standard library only. A job is a fork that runs its script to the end, as `python script` would. The server
lives while the socket to its run is open, and until its jobs have ended.
"""

import ast
import ctypes
import gc
import os
import runpy
import select
import signal
import socket
import sys
import warnings
from pathlib import Path

LONGEST = 4096  # most bytes of a script's path
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # a terminal sends them to the server too
PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15  # of sys/prctl.h


def serve(control: socket.socket) -> str | None:
    """Fork for each script that the run sends, together with a socket for its job.

    Returns:
        In each job, its script. In the server None, when the run and all jobs have ended.
    """
    # Python warns of forks with threads. These are libraries' idle threads, which no job needs.
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in IGNORED}
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # writes to `wake`
    jobs: dict[int, socket.socket] = {}
    waiting = [control, ended]
    while jobs or control in waiting:
        ready, _, _ = select.select(waiting, [], [])
        if ended in ready:
            os.read(ended, LONGEST)
            _tell_ends(jobs)
        if control not in ready:
            continue
        message, sockets, _, _ = socket.recv_fds(control, LONGEST, 1)
        if not message:
            waiting.remove(control)
            continue
        script, job = message.decode(), socket.socket(fileno=sockets[0])
        pid = _fork() if _import_as(Path(script)) else None
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for number, handler in before.items():
                signal.signal(number, handler)
            for pipe in (ended, wake):
                os.close(pipe)
            for other in (control, *jobs.values()):
                other.close()
            if "numpy" in sys.modules:  # unlike Python's own generator, numpy's would be the same in every fork
                sys.modules["numpy"].random.seed()
            _wait_for_word(job, script)
            return script
        if pid is None:
            job.close()  # the run then starts the job without the server
        else:
            jobs[pid] = job
    return None


def _tell_ends(jobs: dict[int, socket.socket]) -> None:
    """Send the exit code of each job that has ended, as a shell reports it: 137 if signal 9 killed it."""
    for pid in list(jobs):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            with jobs.pop(pid) as job:
                _send(job, code if code >= 0 else 128 - code)


def _import_as(script: Path) -> bool:
    """Run the imports at the top level of a script, and return whether they succeeded."""
    try:
        for node in ast.parse(script.read_bytes()).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                exec(compile(ast.Module([node], []), str(script), "exec"), {})
    except BaseException:
        return False
    return True


def _fork() -> int | None:
    """As `os.fork`; None if no process could be started."""
    gc.freeze()  # so that a job's garbage collector does not write to shared pages, which would copy them
    try:
        return os.fork()
    except OSError:
        return None


def _wait_for_word(job: socket.socket, script: str) -> None:
    """In a job: send its process id, name the process, and wait to be told to begin; end if the server is killed."""
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    prctl(PR_SET_NAME, Path(script).stem.rpartition(".")[2].encode())  # Snakemake's copy is tmpabc.stitch_pair.py
    with job:
        _send(job, os.getpid())
        if not job.recv(1):
            os._exit(1)


def _send(job: socket.socket, number: int) -> None:
    try:
        job.sendall(b"%d\n" % number)
    except OSError:  # the run was killed
        return


if __name__ == "__main__":
    scripts = sys.path[0] = str(Path(__file__).parents[1])
    script = serve(socket.socket(fileno=int(sys.argv[1])))
    if script:
        sys.argv = [script]
        sys.path[sys.path.index(scripts)] = str(Path(script).parent)
        runpy.run_path(script, run_name="__main__")
