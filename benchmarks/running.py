"""Runs a whole study for a benchmark, as its user would, in a copy of this checkout."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tests.checkout import ROOT, copy_checkout


def parse(description: str) -> argparse.Namespace:
    """The options of a benchmark that runs a study."""
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--cores", type=int, default=os.cpu_count(), help="jobs at once")
    options.add_argument("--configfile", default="config/config.yaml", help="of the study")
    return options.parse_args()


def prepare(folder: Path) -> Path:
    """Copy this checkout into a folder, with a link to its `data/`."""
    copy_checkout(folder)
    if (ROOT / "data").exists():
        (folder / "data").symlink_to(ROOT / "data")
    return folder


def run(folder: Path, arguments: argparse.Namespace, *targets: str) -> str:
    """Run a study in a copy, or make other targets, and return what is printed; a failure ends the benchmark."""
    command = [sys.executable, "-m", "snakemake", "--cores", str(arguments.cores)]
    command += ["--configfile", str(Path(arguments.configfile).resolve()), "--", *targets]
    finished = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if finished.returncode:
        sys.exit(finished.stderr)
    return finished.stdout


def results_of(folder: Path) -> Path:
    """The results of the study that was run."""
    (tables,) = (folder / "results").glob("*/tables")
    return tables.parent


def benchmarks_of(results: Path) -> dict[str, Path]:
    """The files in which Snakemake tells what each job took, by the job's name."""
    folder = results / "benchmarks"
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in folder.rglob("*.tsv")}
