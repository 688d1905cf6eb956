"""How near a study's forecast comes: of each job, what was forecast and what it took.

    python benchmarks/forecast.py --configfile config/measures.yaml

Forecasts a study and then runs it, as its user would, in a folder of its own that is deleted again. What a job took is
the time from its start to its end, as Snakemake measured it, times its cores: on a machine that is idle otherwise. The
table has a line for each network, for each objective and kind of pair, and for every other rule; `ratio` is forecast
over taken, `jobs` how many were run. The last line is JSON.
"""

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pandas as pd
from running import benchmarks_of, parse, prepare, results_of, run

OF_A_PAIR = ("stitch_pair", "stitch_layers", "join_layers")
OF_A_NETWORK = ("train_network", "import_network", "initialise_network")


def main() -> None:
    arguments = parse(__doc__)
    with tempfile.TemporaryDirectory() as name:
        folder = prepare(Path(name))
        told = run(folder, arguments, "forecast")
        run(folder, arguments)
        results = results_of(folder)
        jobs = pd.read_csv(results / "logs/forecast.csv")
        lines = compared(jobs, seconds_taken(results))
    print(told, lines.round(2).to_string(), sep="\n")
    print(json.dumps({"study": arguments.configfile, "cores": arguments.cores, "lines": records(lines)}))


def seconds_taken(results: Path) -> dict[str, float]:
    """Seconds from the start of each job to its end, as Snakemake tells them, by the job's name."""
    return {name: pd.read_csv(path, sep="\t").s.item() for name, path in benchmarks_of(results).items()}


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
