"""What one GPU makes of the engine, in one command: the package, a file of images, and nothing else.

    python benchmarks/gpu.py --data cifar10-jpeg.tar.xz

Every section is a process of its own, which may fail or be stopped without the others:

- `engine`: a step of the engine against the loops, and its share of the rates of convolutions and matrix products;
- `passes`: column by column against one growing pass; compiled, and as CUDA graphs, their first steps apart;
- `breakdown`: what kind of work a step's time goes to;
- `pairs`: pairs as jobs make them, from networks to the record: pairs per hour;
- `study`: the paper's study (config/paper.yaml) by its forecast;
- `network`: a network's training, and when it reaches 0.94 on the test set;
- `memory`: what a job takes of both memories, beside what it asks of a cluster;
- `sharing`: steps per second of one, two and four processes at once, and the GPU's busy share;
- `exhausted`: a step whose memory runs out, in halved groups, beside the step that had enough;
- `tests`: tests/test_gpu.py.

With `--small`, all of it in miniature, on a processor too. The data are an image folder or an archive of one, or the
digits on photographs where none is named; only `network` learns from them. The last line is JSON.
"""

import argparse
import importlib.util
import json
import multiprocessing
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any

import breakdown
import growing_pass
import memory
import stitching_speed
import torch
import yaml
from common import (
    IMAGE,
    RATE,
    ROOT,
    Combination,
    Engine,
    freeze,
    machine,
    random_batch,
    random_network,
    significant,
    timed,
)
from torch import Tensor

from modelstitch import hardware
from modelstitch.config.networks import Training
from modelstitch.config.stitches import FastStitches, PaperStitches
from modelstitch.config.study import load_study
from modelstitch.data import datasets, sources
from modelstitch.fitting.pair import train_pair
from modelstitch.identifiers import NetworkId
from modelstitch.networks import training
from modelstitch.networks.network import Network
from modelstitch.planning import jobs
from modelstitch.planning.operations import network as network_operations
from modelstitch.planning.speed import measure as measure_speed
from modelstitch.repeating import FIRST_STEPS, RepeatedStep

GOAL = 0.94
SHARED_SECONDS = 5.0  # that processes work together
TIMED_STEPS = 20
Rows = list[dict[str, Any]]


def main() -> None:
    arguments = parse()
    device = hardware.choose_device(arguments.device)
    if arguments.only:
        hardware.prepare(device)
        print(json.dumps(SECTIONS[arguments.only](arguments, device)))
        return
    if not torch.cuda.is_available() and not arguments.small:
        sys.exit(f"{hardware.NO_GPU}: expected one, or --small")
    found: dict[str, Any] = machine(device) | {
        "capability": torch.cuda.get_device_capability() if device == "cuda" else None
    }
    with tempfile.TemporaryDirectory() as folder:
        arguments.dataset = Path(folder) / "dataset.h5"
        settings = {"source": "imagefolder", "path": arguments.data} if arguments.data else {"source": "photo-digits"}
        sources.prepare(settings, arguments.dataset)
        for name in arguments.sections:
            begun = time.monotonic()
            found[name] = result = run(name, arguments, device)
            print(f"{name} ({time.monotonic() - begun:.0f} s)", json.dumps(result), sep="\n", end="\n\n", flush=True)
    print(json.dumps(found))


def parse() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", help="an image folder or an archive of one, with a training and a test set")
    options.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    options.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="all by default")
    options.add_argument("--small", action="store_true", help="narrow networks and few steps, to try the benchmark")
    options.add_argument("--limit", type=float, default=150, help="seconds after which a section is stopped")
    options.add_argument("--epochs", type=int, default=24, help="of the network's training")
    options.add_argument("--only", choices=SECTIONS, help=argparse.SUPPRESS)
    options.add_argument("--dataset", type=Path, help=argparse.SUPPRESS)
    return options.parse_args()


def run(name: str, arguments: argparse.Namespace, device: str) -> Any:
    """What a section finds, in a process of its own; or what kept it from it."""
    command = [sys.executable, __file__, "--only", name, "--dataset", arguments.dataset, "--device", device]
    command += ["--epochs", str(arguments.epochs), "--limit", str(arguments.limit), *["--small"] * arguments.small]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes, start_new_session=True) as process:  # so that its processes end together
        try:
            output, errors = process.communicate(timeout=arguments.limit)
        except subprocess.TimeoutExpired:
            return {"failed": f"stopped after {arguments.limit:g} s"}
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        return {"failed": errors.strip()[-2000:]}
    return json.loads(output.splitlines()[-1])


def settings_of(arguments: argparse.Namespace, device: str) -> list[Combination]:
    """R1112 with itself at widths 16 and 64, in bfloat16 where the device has it, in batches as the paper's."""
    precision = "bfloat16" if hardware.has_bfloat16(device) else "float32"
    widths, batch = ((4,), 8) if arguments.small else ((16, 64), 256)
    return [Combination("R1112", "R1112", width, batch, precision, IMAGE) for width in widths]


def engine(arguments: argparse.Namespace, device: str) -> Rows:
    return each(stitching_speed.measure, arguments, device)


def passes(arguments: argparse.Namespace, device: str) -> Rows:
    return each(growing_pass.measure, arguments, device)


def where_time_goes(arguments: argparse.Namespace, device: str) -> Rows:
    return each(breakdown.measure, arguments, device)


def each(measure: Callable[[Combination, str, int], dict], arguments: argparse.Namespace, device: str) -> Rows:
    """A row of another benchmark for each width."""
    return [measure(combination, device, 1 if arguments.small else 5) for combination in settings_of(arguments, device)]


def pairs(arguments: argparse.Namespace, device: str) -> Rows:
    """Pairs of `fast` for half an epoch and of the paper's protocol for an eighth, evaluation included."""
    rows = []
    for combination in settings_of(arguments, device):
        for name, settings in protocols(arguments).items():
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:  # each as a job of its own
                row = process.submit(pair, combination, settings, arguments.dataset, device).result()
            rows.append({"width": combination.width, "protocol": name, **row})
    return rows


def pair(
    combination: Combination, settings: FastStitches | PaperStitches, dataset: Path, device: str
) -> dict[str, float]:
    """What a job takes from its networks to their record."""
    sender, receiver = combination.networks()
    images = datasets.read(dataset)
    begun = time.perf_counter()
    record = train_pair(sender, receiver, images, settings, study_seed=0, device=device).record
    seconds = time.perf_counter() - begun
    return {
        "batch": settings.batch,
        "train_images": record.attributes["train_images"],
        "seconds": round(seconds, 2),
        "images_per_second": record.attributes["images_per_second"],
        "pairs_per_hour": round(3600 / seconds, 1),
    }


def protocols(arguments: argparse.Namespace) -> dict[str, FastStitches | PaperStitches]:
    """Stitches' settings of two shipped studies, of fewer epochs."""
    share = 0.02 if arguments.small else 1
    found = {}
    kinds = (("fast", FastStitches, "cifar10-laptop", 0.5), ("paper", PaperStitches, "paper", 0.125))
    for name, kind, study, epochs in kinds:
        task = shipped(study)["stitches"]["task"] | {"epochs": share * epochs}
        if arguments.small:
            task["batch"] = 16
        if name == "paper":
            task["warmup_epochs"] = task["epochs"] / 4
        found[name] = kind.model_validate(task)
    return found


def shipped(study: str) -> dict[str, Any]:
    """The file of a study that the project ships."""
    return yaml.safe_load((ROOT / f"config/{study}.yaml").read_text())


def paper_study(arguments: argparse.Namespace, device: str) -> dict[str, Any]:
    """Hours of the GPU for the paper's study, by its forecast in this process."""
    values = shipped("paper") | {"measures": {}}
    values["jobs"] |= {"device": device, "threads": 1}
    if arguments.small:
        values["networks"] |= {"architectures": ["R1111"], "width": 4}
    plan = memory.planned(load_study(values, "paper"), arguments.dataset)
    begun = time.process_time()
    speed = measure_speed(plan, begun, device)
    hours = {
        stage.name: round(stage.core_seconds / 3600, 2)
        for stage in jobs.stages(plan, speed, ["prepare_dataset"], {"make_tables": 0})
        if stage.name in ("networks", "stitches")
    }
    count = len(plan.study.stitched_pairs())
    flops = sum(network_operations(plan, network) for network in plan.study.networks_needed())
    return {
        "pairs_and_objectives": count,
        "hours": hours,
        "pairs_per_hour": round(count / max(hours["stitches"], 0.01), 1),
        "networks_gflops": significant(flops / 1e9),
        "gflops_per_second": {
            kind: significant(1 / statistics.fmean(rates.values()) / 1e9)
            for kind, rates in (("networks", speed.networks), ("training", speed.training))
        },
    }


def network(arguments: argparse.Namespace, device: str) -> dict[str, Any]:
    """R2222 at full width, by SGD with a short schedule."""
    study = shipped("paper")["networks"]
    study |= {"architectures": ["R2222"], "width": 4 if arguments.small else 64}
    study["training"] |= {"epochs": arguments.epochs, "batch": 256, "learning_rate": 0.2, "weight_decay": 0.0005}
    study["training"]["warmup_epochs"] = min(4, arguments.epochs // 4)
    networks = load_study(shipped("paper") | {"networks": study, "measures": {}}, "paper").networks
    begun = time.perf_counter()
    found = training.train(
        NetworkId("R2222", "trained", 0),
        networks.complete("R2222"),
        datasets.read(arguments.dataset),
        0,
        checkpoint=arguments.dataset.with_name("checkpoint"),
        device=device,
    )
    seconds = time.perf_counter() - begun
    accuracies = found.about["curves"]["test_accuracy"]
    reached = next((epoch for epoch, accuracy in enumerate(accuracies, start=1) if accuracy >= GOAL), None)
    return {
        "milliseconds_of_a_step": step_milliseconds(found, networks.complete("R2222").training, device),
        "epochs": len(accuracies),
        "seconds": round(seconds, 1),
        "seconds_to_goal": reached and round(seconds * reached / len(accuracies), 1),
        "accuracies": [round(accuracy, 4) for accuracy in accuracies],
    }


def step_milliseconds(trained: Network, settings: Training, device: str) -> dict[str, float]:
    """A training step, taken kernel by kernel and recorded."""
    module = trained.module.to(device, memory_format=trained.memory_format).train()
    optimiser = training.optimiser_of(module, settings)
    dtype = hardware.choose_precision(settings.precision, device)
    images, labels = random_batch(settings.batch, IMAGE, device)

    def step(images: Tensor, labels: Tensor) -> None:
        training.take_step(trained, optimiser, images, labels, dtype)

    repeated, found = RepeatedStep(step, optimiser, device), {}
    for name, take in (("one_by_one", step), ("recorded", lambda *batch: repeated(*batch, RATE))):
        for _ in range(FIRST_STEPS + 1):
            take(images, labels)
        seconds, _ = timed(lambda take=take: [take(images, labels) for _ in range(TIMED_STEPS)], device)
        found[name] = round(1e3 * seconds / TIMED_STEPS, 2)
    return found


def both_memories(arguments: argparse.Namespace, device: str) -> Rows:
    size = ["--width", "4", "--images", "2000", "--batch", "8"] if arguments.small else ["--width", "16", "64"]
    given = memory.parse([*size, "--rows", "6", "--device", device])
    return memory.measure(given, device)


def sharing(arguments: argparse.Namespace, device: str) -> Rows:
    """Steps per second of `fast` (width 16, batch 64) and of the paper's (width 64, batch 256), by processes at once.

    The processes stay, so that each has its steps chosen and recorded before the first is timed.
    """
    sizes = [(4, 8)] if arguments.small else [(16, 64), (64, 256)]
    counts = (1, 2) if arguments.small else (1, 2, 4)
    seconds = 0.5 if arguments.small else SHARED_SECONDS
    spawning = multiprocessing.get_context("spawn")
    rows = []
    with spawning.Manager() as manager, ProcessPoolExecutor(counts[-1], spawning) as processes:
        together = manager.Barrier(counts[-1] + 1, timeout=arguments.limit)
        given = together, sizes, counts, seconds, device
        workers = [processes.submit(rates_beside_others, number, *given) for number in range(counts[-1])]
        for width, batch in sizes:
            for count in counts:
                with suppress(BrokenBarrierError):  # a worker has failed, and its result says why
                    together.wait()
                    busy = busy_share(seconds) if device == "cuda" else None
                    together.wait()
                    rows.append({"width": width, "batch": batch, "processes": count, "busy_share": busy})
        errors = [error for worker in workers if (error := worker.exception())]
        if errors:  # the cause, before those of processes that waited in vain
            raise min(errors, key=lambda error: isinstance(error, BrokenBarrierError))
        rates = [sum(of_one) for of_one in zip(*(worker.result() for worker in workers), strict=True)]
    return [row | {"steps_per_second": round(rate, 2)} for row, rate in zip(rows, rates, strict=True)]


def rates_beside_others(
    number: int,
    together: Barrier,
    sizes: Sequence[tuple[int, int]],
    counts: Sequence[int],
    seconds: float,
    device: str,
) -> list[float]:
    """Steps per second of this process for each size and count; it rests where it is not among the first of a count."""
    try:
        hardware.prepare(device)
        precision = torch.bfloat16 if hardware.has_bfloat16(device) else torch.float32
        rates = []
        for width, batch in sizes:
            networks = [random_network("R1112", width, IMAGE, seed) for seed in (0, 1)]
            images = random_batch(batch, IMAGE, device)
            engine = growing_pass.Recorded(Engine(freeze(networks, precision, device), *images, muon=width < 64))
            engine.step()
            for count in counts:
                together.wait()
                steps, start = 0, time.perf_counter()
                while number < count and time.perf_counter() < start + seconds:
                    engine.step()
                    steps += 1
                rates.append(steps / (time.perf_counter() - start))
                together.wait()
        return rates
    except BaseException:
        together.abort()
        raise


def busy_share(seconds: float) -> float | None:
    """Mean share of the next seconds in which the GPU is at work, as its driver tells it; None where it doesn't."""
    if not shutil.which("nvidia-smi"):
        return None
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    shares, end = [], time.perf_counter() + seconds - 1
    time.sleep(1)  # what it tells is of the past second at most
    while time.perf_counter() < end:
        output = subprocess.run(command, capture_output=True, text=True).stdout
        shares += [int(number) / 100 for number in re.findall(r"^\d+$", output, re.MULTILINE)[:1]]
        time.sleep(0.5)
    return round(statistics.fmean(shares), 3) if shares else None


def exhausted(arguments: argparse.Namespace, device: str) -> dict[str, Any]:
    """A step with all memory but a little taken by another tensor, and the losses of one that had enough."""
    if device != "cuda":
        return {"left_out": "groups are halved on a GPU only"}
    combination = settings_of(arguments, device)[-1]
    engines = [
        Engine(
            freeze(combination.networks(), combination.dtype, device),
            *random_batch(combination.batch, combination.image, device),
        )
        for _ in range(2)
    ]
    expected = engines[0].step()
    engines[1].pair.limit = limit = engines[0].pair.limit  # found while there was enough
    hardware.release_memory()
    taken = torch.cuda.max_memory_allocated() - torch.cuda.memory_allocated()
    free, _ = torch.cuda.mem_get_info()
    ballast = torch.empty(free - taken // 2, dtype=torch.uint8, device=device)
    found = engines[1].step()
    return {
        "limit_mb": limit // 2**20,
        "halved_to_mb": engines[1].pair.limit // 2**20,
        "step_mb": taken // 2**20,
        "left_mb": (free - len(ballast)) // 2**20,
        "largest_difference_of_a_loss": (found - expected).abs().max().item(),
    }


def tests(arguments: argparse.Namespace, device: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_gpu.py"]
    if importlib.util.find_spec("xdist"):
        command += ["--numprocesses", "3"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    lines = process.stdout.strip().splitlines()
    return {"summary": lines[-1:], "failed": [line for line in lines if line.startswith(("FAILED", "ERROR"))]}


SECTIONS = {
    "engine": engine,
    "passes": passes,
    "breakdown": where_time_goes,
    "pairs": pairs,
    "study": paper_study,
    "network": network,
    "memory": both_memories,
    "sharing": sharing,
    "exhausted": exhausted,
    "tests": tests,
}


if __name__ == "__main__":
    main()
