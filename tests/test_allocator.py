import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import torch
from modelstitch.allocator import keep_freed_memory
{call}
faults = []
for _ in range(20):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24).add(1)  # 64 MiB, twice
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(sorted(faults[10:])[5])  # the heap grows a few times until both fit
"""


def faults(call):
    command = [sys.executable, "-c", PROGRAM.format(call=call)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_memory_is_used_again_without_faults():
    assert faults("keep_freed_memory()") < 100 < 1000 < faults("")
