"""How near a study's forecast comes: of each job, what was forecast and what it took.

    python benchmarks/forecast.py --configfile config/measures.yaml

Forecasts a study and then runs it, as its user would, in a folder of its own that is deleted again. What a job took is
the time from its start to its end, as Snakemake measured it, times its cores: on a machine that is idle otherwise. The
table has a line for each network, for each objective and kind of pair, and for every other rule; `ratio` is forecast
over taken, `jobs` how many were run. The last line is JSON.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pandas as pd

from tests.checkout import ROOT, copy_checkout

OF_A_PAIR = ("stitch_pair", "stitch_layers", "join_layers")
OF_A_NETWORK = ("train_network", "import_network", "initialise_network")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--cores", type=int, default=os.cpu_count(), help="jobs at once")
    options.add_argument("--configfile", default="config/config.yaml", help="of the study")
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = copy_checkout(Path(name))
        if (ROOT / "data").exists():
            (folder / "data").symlink_to(ROOT / "data")
        command = [sys.executable, "-m", "snakemake", "--cores", str(arguments.cores)]
        command += ["--configfile", str(Path(arguments.configfile).resolve())]
        told = run([*command, "--", "forecast"], folder)
        run(command, folder)
        (results,) = (folder / "results").glob("*/tables")
        jobs = pd.read_csv(results.parent / "logs/forecast.csv")
        lines = compared(jobs, seconds_taken(results.parent / "benchmarks"))
    print(told, lines.round(2).to_string(), sep="\n")
    print(json.dumps({"study": arguments.configfile, "cores": arguments.cores, "lines": records(lines)}))


def run(command: list[str], folder: Path) -> str:
    """What a command prints."""
    finished = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if finished.returncode:
        sys.exit(finished.stderr)
    return finished.stdout


def seconds_taken(benchmarks: Path) -> dict[str, float]:
    """Seconds from the start of each job to its end, as Snakemake tells them, by the job's name."""
    files = {path.relative_to(benchmarks).with_suffix("").as_posix(): path for path in benchmarks.rglob("*.tsv")}
    return {name: pd.read_csv(path, sep="\t").s.item() for name, path in files.items()}


def compared(jobs: pd.DataFrame, taken: dict[str, float]) -> pd.DataFrame:
    """Forecast and taken core seconds, summed over the jobs of each line; a job that only one of them knows counts."""
    jobs = jobs.set_index("job").join(pd.Series(taken, name="taken"), how="outer", sort=False)
    jobs["run"] = jobs.taken.notna()
    for column in ("seconds", "taken"):
        jobs[column] = jobs[column].fillna(0) * jobs.threads.fillna(1)
    lines = jobs.groupby(jobs.index.map(line_of), sort=False)
    lines = lines.agg(jobs=("run", "sum"), forecast=("seconds", "sum"), taken=("taken", "sum"))
    lines.loc["all"] = lines.sum()
    return lines.assign(ratio=lines.forecast / lines.taken.where(lines.taken > 0))


def line_of(job: str) -> str:
    """The line of a job: its rule; for networks their name, for pairs their objective, architectures and recipes."""
    rule, *place = job.split("/")
    if rule in OF_A_PAIR:
        objective, *networks = place[:3]
        sender, receiver = (network.rpartition("_")[0] for network in networks)  # without their seeds
        return f"{objective} {sender} -> {receiver}"
    return job if rule in OF_A_NETWORK else rule


def records(lines: pd.DataFrame) -> list[dict]:
    lines = lines.round(3).astype(object).where(lines.notna(), None)
    return lines.rename_axis("line").reset_index().to_dict("records")


if __name__ == "__main__":
    main()
