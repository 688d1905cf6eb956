"""How much memory may still be taken, where the system, a control group or the process has a limit."""

import resource
import subprocess
import sys

from modelstitch import memory
from tests.checkout import ROOT


def test_the_least_of_a_control_group_and_those_it_is_in_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    (tmp_path / "slurm/job").mkdir(parents=True)
    for folder, most, used, cached in (("", "max", 1, 0), ("slurm", "900", 500, 100), ("slurm/job", "800", 100, 0)):
        (tmp_path / folder / "memory.max").write_text(f"{most}\n")
        (tmp_path / folder / "memory.current").write_text(f"{used}\n")
        (tmp_path / folder / "memory.stat").write_text(f"anon 7\ninactive_file {cached}\n")
    assert sorted(memory._limits_of_group("/slurm/job", first_version=False)) == [500, 700]


def test_the_limit_of_the_process_counts():
    code = f"""
import resource
from modelstitch import memory
resource.setrlimit(resource.RLIMIT_AS, ({2**30}, {resource.RLIM_INFINITY}))
print(memory.free_bytes())
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert 0 < int(result.stdout) < 2**30


def test_bytes_are_told_in_gibibytes():
    assert memory.in_gib(70.25 * 2**30) == "70.2 GiB"
