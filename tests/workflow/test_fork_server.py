"""Jobs as forks of one server: they do what `python script` does, and end when and as they should."""

import ast
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from tests.checkout import ROOT
from workflow_scripts.fork_server import NoServer, Server, environment

# What a script finds, and what it has loaded before its own first line is of no concern.
TELL = (
    f"""
import json, os, signal, sys
sys.path.append({str(ROOT / "workflow_scripts")!r})
import job
"""
    + """
import torch
print(json.dumps({
    "argv": sys.argv, "path": sys.path, "folder": os.getcwd(), "name": __name__, "file": __file__,
    "environment": dict(os.environ), "threads": torch.get_num_threads(), "hook": sys.excepthook is sys.__excepthook__,
    "signals": [str(signal.getsignal(getattr(signal, f"SIG{name}"))) for name in ("INT", "TERM", "HUP", "CHLD")],
    "session": os.getpgrp(), "descriptors": sorted(os.listdir("/proc/self/fd")),
    "bits": torch.nn.functional.conv2d(torch.arange(480.0).sin().view(1, 3, 10, 16), torch.ones(2, 3, 3, 3)).tolist(),
}), flush=True)
"""
)
MANY = {"threads": 2, "resources": {"tmpdir": "/tmp"}}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks are used on Linux alone")


@pytest.fixture(autouse=True)
def interruptible():
    """Whatever started the tests: a shell lets what it starts in the background ignore SIGINT, which is inherited."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def server():
    one = Server(environment(**MANY))
    yield one
    one.end()


def written(folder, text):
    script = folder / "script.py"
    script.write_text(text)
    return str(script)


def alive(pid):
    """Whether a process runs; one that has ended and waits to be asked for its code does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid, seconds=20):
    end = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.01)
    return not alive(pid)


def test_a_forked_script_finds_what_one_alone_finds(tmp_path, capfd):
    script = written(tmp_path, TELL)
    server = Server(environment(**MANY))
    with server.fork(script) as job:
        assert job.run() == 0
    server.end()
    forked, errors = capfd.readouterr()
    subprocess.run([sys.executable, script], env=environment(**MANY), check=True)
    alone, _ = capfd.readouterr()
    assert errors == ""
    assert json.loads(forked) == json.loads(alone)
    assert json.loads(forked)["path"][:2] == [str(ROOT), str(tmp_path)]
    assert json.loads(forked)["threads"] == 2


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("import os", 0),
        ("raise SystemExit(3)", 3),
        ("import sys; sys.exit('no')", 1),
        ("1 / 0", 1),
        ("import sys; sys.excepthook = lambda *_: open(__file__ + '.hook', 'w'); 1 / 0", 1),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 143),
        ("import os, signal; os.kill(os.getpid(), signal.SIGINT)", 130),
        ("import atexit, pathlib; atexit.register(pathlib.Path(__file__).unlink)", 0),
    ],
)
def test_it_ends_with_the_code_that_a_shell_tells(server, tmp_path, text, code):
    script = written(tmp_path, text)
    with server.fork(script) as job:
        assert job.run() == code
    assert os.path.exists(script) == ("unlink" not in text)
    assert os.path.exists(script + ".hook") == ("hook" in text)


@pytest.mark.skipif(torch.version.cuda is None, reason="only a build with CUDA can have touched a GPU")
def test_no_script_touches_the_gpu_before_its_job_is_forked(server, tmp_path):
    statements = [
        ast.unparse(node)
        for path in sorted(ROOT.glob("workflow_scripts/*.py"))
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    script = "\n".join([*dict.fromkeys(statements), "import torch", "sys.exit(torch.cuda._is_in_bad_fork())"])
    with server.fork(written(tmp_path, script)) as job:
        assert job.run() == 0


def test_it_begins_when_told_and_is_a_process_until_then(server, tmp_path):
    script = written(tmp_path, "import os; open(__file__ + '.done', 'w').write(str(os.getpid()))")
    with server.fork(script) as job:
        time.sleep(0.2)
        with open(f"/proc/{job.pid}/comm") as file:
            assert file.read() == "script\n"
        assert alive(job.pid) and not os.path.exists(script + ".done")
        assert job.run() == 0
    with open(script + ".done") as file:
        assert int(file.read()) == job.pid


def test_jobs_run_beside_each_other_and_what_one_imports_the_next_finds(server, tmp_path):
    slow, quick = written(tmp_path, "import csv, time; time.sleep(60)"), tmp_path / "quick.py"
    quick.write_text("import sys; sys.exit('csv' not in sys.modules)")
    with server.fork(slow) as first:
        first.socket.sendall(b"\n")
        with server.fork(str(quick)) as second:
            assert second.run() == 0
        os.kill(first.pid, signal.SIGKILL)
        assert first.socket.recv(4) == b"137\n"


def test_what_cannot_be_imported_starts_alone(server, tmp_path):
    with pytest.raises(NoServer), server.fork(written(tmp_path, "import nothing_of_this_name")):
        pass
    with server.fork(written(tmp_path, "import os")) as job:
        assert job.run() == 0


def test_a_killed_server_takes_its_jobs_along_and_later_ones_start_alone(server, tmp_path):
    script = written(tmp_path, "import time; time.sleep(60)")
    with server.fork(script) as job:
        server._process.kill()
        assert job.run() == 137
        assert gone(job.pid)
    with pytest.raises(NoServer), server.fork(script):
        pass


RUN = """
import sys
sys.path.insert(0, {root!r})
from workflow_scripts.fork_server import Server, environment
server = Server(environment(1, {{}}))
with server.fork({script!r}) as job:
    print(server._process.pid, job.pid, flush=True)
    job.run()
"""


def begin_run(script):
    """A process that has a server and a job, and their ids."""
    code = RUN.format(root=str(ROOT), script=script)
    run = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    return run, *map(int, run.stdout.readline().split())


def test_the_job_of_a_killed_run_goes_on_and_the_server_ends_with_it(tmp_path):
    script = written(tmp_path, "import time; time.sleep(1); open(__file__ + '.done', 'w')")
    run, server, job = begin_run(script)
    time.sleep(0.3)
    run.kill()
    run.wait()
    assert alive(server) and alive(job)
    assert gone(job) and gone(server)
    assert os.path.exists(script + ".done")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_all_processes_ends_all(tmp_path, number):
    run, server, job = begin_run(written(tmp_path, "import time; time.sleep(60)"))
    time.sleep(0.3)
    os.killpg(run.pid, number)
    run.wait(20)
    assert gone(job) and gone(server)


SNAKEFILE = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from workflow_scripts import fork_server
fork_server.use(Path("scripts"))

rule all:
    input: "a.done", "b.done", "elsewhere.done"

rule job:
    output: "{{name}}.done"
    benchmark: "{{name}}.tsv"
    threads: 2
    wildcard_constraints: name="[a-z]"
    script: "scripts/job_of_{{wildcards.name}}.py"

rule elsewhere:
    output: "elsewhere.done"
    script: "others/job.py"
"""
PARENT = """
import os, pathlib, time
import torch
memory = torch.ones(2**26)
time.sleep(1.2)
parent = pathlib.Path(f"/proc/{os.getppid()}/cmdline").read_text()
pathlib.Path(snakemake.output[0]).write_text(f"{parent} {os.environ['OMP_NUM_THREADS']} {torch.get_num_threads()}")
"""


def snakemake(folder, *targets):
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *targets]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_snakemake_runs_the_scripts_of_one_folder_so_and_measures_them(tmp_path):
    (tmp_path / "Snakefile").write_text(SNAKEFILE.format(root=str(ROOT)))
    for name in ("scripts/job_of_a.py", "scripts/job_of_b.py", "others/job.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(PARENT)
    result = snakemake(tmp_path)
    assert result.returncode == 0, result.stderr
    for name in "ab":
        told = (tmp_path / f"{name}.done").read_text()
        assert "fork_server/server.py" in told and told.endswith(" 2 2")
        titles, values = ((tmp_path / f"{name}.tsv").read_text()).splitlines()
        measured = dict(zip(titles.split("\t"), values.split("\t"), strict=True))
        assert 256 < float(measured["max_rss"]) < 4000 and 1.2 <= float(measured["s"]) < 60
    assert "fork_server" not in (tmp_path / "elsewhere.done").read_text()


def test_a_job_that_fails_or_is_killed_fails_its_run(tmp_path):
    (tmp_path / "Snakefile").write_text(SNAKEFILE.format(root=str(ROOT)))
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/job_of_a.py").write_text("import sys; sys.exit('no such luck')")
    (tmp_path / "scripts/job_of_b.py").write_text("import os; open(snakemake.output[0], 'w'); os.kill(os.getpid(), 9)")
    result = snakemake(tmp_path, "--keep-going", "a.done", "b.done")
    assert result.returncode == 1
    assert "no such luck" in result.stderr and "job: ended by signal 9" in result.stderr
    assert not (tmp_path / "b.done").exists()
