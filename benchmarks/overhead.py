"""What the pipeline adds to a job: the start of a process, its imports, and the reading of the data.

    python benchmarks/overhead.py

Starts processes that do as much of a stitching job as comes before its first step, each a bit more than the one before,
in turn and several times; the last line is JSON with the medians. The data set is of random images, as many as
CIFAR-10's, in a folder that is deleted again. The last process is a fork of one that has imported everything, as jobs
on one's own machine are (workflow_scripts/fork_server). Snakemake's own part is the time of a whole run of jobs that do
nothing, less that of a run of one, over their number.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from modelstitch.data import datasets
from modelstitch.data.datasets import Split

ROOT = Path(__file__).resolve().parents[1]
PATH_OF_PACKAGE = {"PYTHONPATH": str(ROOT)}
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
FORK = "a fork, data"
FORKED = f"""{IMPORTS}
import time
from pathlib import Path
folder = Path(__file__).parent
datasets.read(folder / "dataset.h5")
(folder / "seconds").write_text(str(time.process_time()))
"""
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
    from workflow_scripts.fork_server import Server, environment  # Snakemake, whose memory another benchmark spares

    arguments = parse()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_noise(folder / "dataset.h5", arguments.images - arguments.images // 6, arguments.images // 6)
        (folder / "forked.py").write_text(FORKED)
        (folder / "Snakefile").write_text(SNAKEFILE)
        server = Server(environment(1, {}) | PATH_OF_PACKAGE)
        seconds_of_fork(server, folder)  # the server imports
        taken = {step: [] for step in (*STEPS, FORK)}
        for _ in range(arguments.repeats):
            for step, code in STEPS.items():
                taken[step].append(seconds([sys.executable, "-c", code], folder))
            taken[FORK].append(seconds_of_fork(server, folder))
        server.end()
        (few, fewer_used), (many, more_used) = (snakemake_seconds(folder, jobs) for jobs in (1, 1 + arguments.jobs))
    wall, processor = (
        {step: round(statistics.median(each[place] for each in times), 3) for step, times in taken.items()}
        for place in (0, 1)
    )
    wall["snakemake, a job"] = round((many - few) / arguments.jobs, 3)
    processor["snakemake, a job"] = round((more_used - fewer_used) / arguments.jobs, 3)
    width = max(map(len, wall))
    for step, value in wall.items():
        print(f"{step:<{width}}  {value:7.3f} s, processor {processor[step]:7.3f} s")
    sizes = {"images": arguments.images, "repeats": arguments.repeats}
    print(json.dumps(sizes | {"seconds": wall, "processor_seconds": processor}))


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


def seconds(command: list[str], folder: Path) -> tuple[float, float]:
    """Wall and processor seconds of a process from its start to its end."""
    start, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, env=os.environ | PATH_OF_PACKAGE, check=True, capture_output=True)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - start, ended.ru_utime + ended.ru_stime - used.ru_utime - used.ru_stime


def seconds_of_fork(server: Any, folder: Path) -> tuple[float, float]:
    """The same of a fork of a `fork_server.Server`."""
    start = time.perf_counter()
    with server.fork(str(folder / "forked.py")) as job:
        if job.run():
            sys.exit("the fork failed")
    return time.perf_counter() - start, float((folder / "seconds").read_text())


def snakemake_seconds(folder: Path, jobs: int) -> tuple[float, float]:
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--scheduler", "greedy", "--forceall"]
    return seconds([*command, "--config", f"jobs={jobs}"], folder)


if __name__ == "__main__":
    main()
