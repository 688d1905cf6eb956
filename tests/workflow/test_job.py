"""What every job begins with, in a process of its own."""

import subprocess
import sys

from tests.checkout import ROOT

LITTLE_MEMORY = """
import resource, sys
sys.path.insert(0, "workflow_scripts")
import job
resource.setrlimit(resource.RLIMIT_AS, (400 * 2**20, resource.RLIM_INFINITY))
import torch
"""


def test_a_library_that_finds_no_memory_says_memory():
    result = subprocess.run([sys.executable, "-c", LITTLE_MEMORY], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("the memory is exhausted (") and line.endswith("give the job more (mem_mb, or ulimit -v)")
