"""The server's process: it imports what a job's script imports, once, and forks for each job.

Standard library only. A job is a fork that runs the script to its end as `python script` would. The server lives as
long as the socket to its run is open, and while its jobs run.
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

LONGEST = 4096  # bytes of a script's path
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the terminal sends them to jobs and server at once
PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15  # of sys/prctl.h


def serve(control: socket.socket) -> str | None:
    """Fork for each script that the run sends, with the socket of its job.

    Returns:
        In each job, its script; in the server None, once the run and all jobs have ended.
    """
    # Of libraries' threads that sleep: no job needs them.
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
            if "numpy" in sys.modules:  # Python's own random numbers are other ones in a fork
                sys.modules["numpy"].random.seed()
            _wait_for_word(job, script)
            return script
        if pid is None:
            job.close()  # which says that the job starts alone
        else:
            jobs[pid] = job
    return None


def _tell_ends(jobs: dict[int, socket.socket]) -> None:
    """Send the exit code of each job that has ended, as a shell tells it: 137 of one that signal 9 killed."""
    for pid in list(jobs):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            with jobs.pop(pid) as job:
                _send(job, code if code >= 0 else 128 - code)


def _import_as(script: Path) -> bool:
    """Import what a script imports at its top, and say whether that can be done."""
    try:
        for node in ast.parse(script.read_bytes()).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                exec(compile(ast.Module([node], []), str(script), "exec"), {})
    except BaseException:
        return False
    return True


def _fork() -> int | None:
    """As `os.fork`; None where no process can be had."""
    gc.freeze()  # a job's garbage collector writes to no page that it shares
    try:
        return os.fork()
    except OSError:
        return None


def _wait_for_word(job: socket.socket, script: str) -> None:
    """In a job: say who it is, to `top` too, and wait until it is measured. It ends where its server is killed."""
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
