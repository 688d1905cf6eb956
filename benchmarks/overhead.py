"""What the pipeline adds to a job: the start of a process, its imports, and the reading of the data.

    python benchmarks/overhead.py

Starts processes that do as much of a stitching job as comes before its first step, each a bit more than the one before,
in turn and several times; the last line is JSON with the medians. The data set is of random images, as many as
CIFAR-10's, in a folder that is deleted again; Snakemake's own part is the time of a whole run of jobs that do nothing,
less that of a run of one, over their number.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from modelstitch.data import datasets
from modelstitch.data.datasets import Split

ROOT = Path(__file__).resolve().parents[1]
IMPORTS = """
from modelstitch import records
from modelstitch.data import datasets
from modelstitch.fitting import muon, pair, training
from modelstitch.networks import weights
from modelstitch.stitches import files
"""
STEPS = {
    "python": "pass",
    "python, torch": "import torch",
    "python, torch, modelstitch": IMPORTS,
    "python, torch, modelstitch, data": f"{IMPORTS}\ndatasets.read('dataset.h5')",
}
SNAKEFILE = """
rule all:
    input:
        [f"{number}.done" for number in range(config["jobs"])],

rule nothing:
    output:
        "{number}.done",
    shell:
        "touch {output}"
"""


def main() -> None:
    arguments = parse()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_noise(folder / "dataset.h5", arguments.images - arguments.images // 6, arguments.images // 6)
        taken = {step: [] for step in STEPS}
        for _ in range(arguments.repeats):
            for step, code in STEPS.items():
                taken[step].append(seconds([sys.executable, "-c", code], folder))
        (folder / "Snakefile").write_text(SNAKEFILE)
        few, many = (snakemake_seconds(folder, jobs) for jobs in (1, 1 + arguments.jobs))
    result = {step: round(statistics.median(each), 3) for step, each in taken.items()}
    result["snakemake, a job"] = round((many - few) / arguments.jobs, 3)
    width = max(map(len, result))
    for step, value in result.items():
        print(f"{step:<{width}}  {value:7.3f} s")
    print(json.dumps({"images": arguments.images, "repeats": arguments.repeats, "seconds": result}))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=60_000, help="32 x 32 images of the data set (CIFAR-10: 60,000)")
    parser.add_argument("--repeats", type=int, default=5, help="processes of each kind, of which the median counts")
    parser.add_argument("--jobs", type=int, default=50, help="jobs of Snakemake that do nothing")
    return parser.parse_args()


def write_noise(path: Path, train_images: int, test_images: int, image: tuple[int, int, int] = (3, 32, 32)) -> None:
    """A data set of random images, by default of CIFAR-10's shape."""
    generator = np.random.default_rng(0)
    splits = [
        Split(generator.integers(256, size=(count, *image), dtype=np.uint8), generator.integers(10, size=count))
        for count in (train_images, test_images)
    ]
    datasets.write(path, "noise", *splits, tuple("0123456789"))


def seconds(command: list[str], folder: Path) -> float:
    """Of a process from its start to its end."""
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True, capture_output=True)
    return time.perf_counter() - start


def snakemake_seconds(folder: Path, jobs: int) -> float:
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--scheduler", "greedy", "--forceall"]
    return seconds([*command, "--config", f"jobs={jobs}"], folder)


if __name__ == "__main__":
    main()
