"""What a whole study takes, and which part of the processor's time trains and evaluates networks and stitches.

    python benchmarks/study.py

Runs the default study, or another, in a folder of its own that is deleted again, as its user would. The rest is the
pipeline's, and the measures' where a study has any. The last line is JSON.
"""

import json
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from running import benchmarks_of, parse, prepare, results_of, run

from modelstitch import records


def main() -> None:
    arguments = parse(__doc__)
    with tempfile.TemporaryDirectory() as name:
        folder = prepare(Path(name))
        before, start = processor_seconds(), time.perf_counter()
        run(folder, arguments)
        wall, total = time.perf_counter() - start, processor_seconds() - before
        results = results_of(folder)
        found, jobs = spent(results), len(benchmarks_of(results))
    work = sum(found.values())
    result = {
        "study": arguments.configfile,
        "cores": arguments.cores,
        "jobs": jobs,
        "wall_seconds": round(wall, 1),
        "processor_seconds": round(total, 1),
        **{f"{kind}_seconds": round(seconds, 1) for kind, seconds in found.items()},
        "share_outside": round(1 - work / total, 3),
        "outside_seconds_a_job": round((total - work) / jobs, 2),
    }
    for key, value in result.items():
        print(f"{key:<22} {value}")
    print(json.dumps(result))


def processor_seconds() -> float:
    """Of all child processes that ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def spent(results: Path) -> Counter[str]:
    """Processor seconds of training and evaluating networks and stitches, as a study's results say."""
    seconds: Counter[str] = Counter()
    for path in (results / "networks").glob("*.json"):
        seconds["networks"] += json.loads(path.read_text())["processor_seconds"]
    for path in (results / "stitches").rglob("*.h5"):
        seconds["stitches"] += records.read(path).attributes["processor_seconds"]
    return seconds


if __name__ == "__main__":
    main()
