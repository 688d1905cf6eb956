"""Snakemake looks for jobs where one has ended or its limit has held some back, and not else."""

import re
import subprocess
import sys
from pathlib import Path

from tests.checkout import ROOT

SNAKEFILE = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from workflow_scripts import scheduler
scheduler.use()

rule all:
    input: [f"{{n}}.done" for n in range(8)]

rule one:
    output: "{{n}}.done"
    shell: "sleep 3; touch {{output}}"
"""


def selections(folder: Path, limit: str) -> list[int]:
    """How many jobs Snakemake chose each time that it looked."""
    (folder / "Snakefile").write_text(SNAKEFILE)
    command = [sys.executable, "-m", "snakemake", "--cores", "4", "--scheduler", "greedy", "--verbose"]
    run = subprocess.run(
        [*command, "--max-jobs-per-timespan", limit], cwd=folder, capture_output=True, text=True, check=True
    )
    selected = [int(count) for count in re.findall(r"^Selected jobs: (\d+)", run.stderr, re.MULTILINE)]
    assert sum(selected) == 9 and len(list(folder.glob("*.done"))) == 8  # with `all`
    return selected


def test_no_look_is_in_vain(tmp_path):
    assert 0 not in selections(tmp_path, "100/1s")


def test_what_a_limit_held_back_is_looked_for_before_a_job_ends(tmp_path):
    assert selections(tmp_path, "2/1s")[:2] == [2, 2]
