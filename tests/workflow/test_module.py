"""The workflow as a module of another one, as `config/README.md` shows it."""

import re
import subprocess
import sys

import yaml

from tests.checkout import ROOT, copy_checkout


def test_another_workflow_uses_the_rules(tmp_path):
    readme = (ROOT / "config/README.md").read_text()
    (tmp_path / "Snakefile").write_text(re.search(r"```python\n(.*?)```", readme, re.DOTALL)[1])
    study = yaml.safe_load((ROOT / "config/config.yaml").read_text()) | {"study": "mine"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"stitching": study}))
    (tmp_path / "modelstitch").mkdir()
    copy_checkout(tmp_path / "modelstitch")
    command = [sys.executable, "-m", "snakemake", "--cores", "2"]
    network = "results/mine/networks/R1111_random_s0.safetensors"
    result = subprocess.run([*command, network], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / network).exists() and not (tmp_path / "modelstitch/results/mine").exists()
    plan = subprocess.run([*command, "-n"], cwd=tmp_path, capture_output=True, text=True)
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", plan.stdout, re.MULTILINE))
    assert plan.returncode == 0 and {"answer", "stitch_make_tables", "stitch_stitch_pair"} <= set(jobs)
    assert jobs["stitch_initialise_network"] == "1"  # of two
