"""Each benchmark runs, and what it counts is what the cost model counts. Its times are anybody's."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from modelstitch import hardware
from modelstitch.networks.architectures import count_layers
from modelstitch.planning.costs import layer_flops, pair_flops
from tests.checkout import ROOT

BENCHMARKS = ROOT / "benchmarks"
IMAGE, WIDTH, BATCH = (3, 32, 32), 4, 3
SENDER, RECEIVER = "R1111", "R1112"
ROWS, COLUMNS = (range(count_layers(name)) for name in (SENDER, RECEIVER))
ON_CPU = ("--device", "cpu", "--threads", "1")
PAIR = (*ON_CPU, "--architectures", SENDER, RECEIVER)
COMBINATION = (*PAIR, "--width", str(WIDTH), "--batch", str(BATCH), "--precision", "float32", "bfloat16")


def printed(script: str, *arguments: str) -> dict:
    """What the last line of a benchmark says."""
    run = subprocess.run(
        [sys.executable, BENCHMARKS / script, *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(run.stdout.splitlines()[-1])


def precisions() -> list[str]:
    return ["float32", "bfloat16"] if hardware.has_bfloat16("cpu") else ["float32"]


def test_the_engines_operations_are_the_cost_models_and_its_shares_are_sane():
    rows = printed("stitching_speed.py", *COMBINATION, "--repeats", "1")["rows"]
    assert [row["precision"] for row in rows] == precisions()
    flops = BATCH * pair_flops(SENDER, RECEIVER, WIDTH, IMAGE, ROWS, COLUMNS)
    suffixes = layer_flops(RECEIVER, WIDTH, IMAGE)
    in_suffixes = 2 * BATCH * len(ROWS) * sum(sum(suffixes[j + 1 :]) for j in COLUMNS)
    for row in rows:
        assert row["cells"] == len(ROWS) * len(COLUMNS)
        assert row["gflops"] == pytest.approx(flops / 1e9, rel=1e-3)
        assert row["convolutions_gflops"] == pytest.approx(in_suffixes / 1e9, rel=1e-3)
        assert 0 < row["share_of_matmul"] < 2 and 0 < row["share_of_convolutions"] < 5
        assert row["max_difference"] < 1e-5


def test_a_growing_pass_and_compiled_layers_give_the_engines_losses():
    rows = printed("growing_pass.py", *COMBINATION[:-1], "--repeats", "2")["rows"]
    assert [row["precision"] for row in rows] == ["float32"]
    for row in rows:
        assert row["max_difference"] < 1e-5
        assert ("growing_compiled" in row) == bool(shutil.which(os.environ.get("CXX", "g++")))


def test_no_time_of_a_step_is_counted_twice():
    rows = printed("breakdown.py", *COMBINATION, "--repeats", "1")["rows"]
    assert [row["precision"] for row in rows] == precisions()
    for row in rows:
        names = list(row)
        shares = [row[name] for name in names[names.index("milliseconds") + 1 :]]
        assert min(shares) >= 0
        assert min(row["sender_pass"], row["matrix_products"], row["elementwise"], row["optimiser"]) > 0
        assert row["convolutions_forward"] > 0.02 and row["convolutions_backward"] > 0.02


def test_cells_of_a_pair_and_pairs_of_a_process_are_counted():
    options = ("--architecture", RECEIVER, "--width", str(WIDTH), "--batch", str(BATCH), "--repeats", "1")
    result = printed("scaling.py", *ON_CPU, *options)
    layers = len(COLUMNS)
    assert [row["cells"] for row in result["sizes"]] == [count * layers for count in range(1, layers + 1)]
    whole = result["sizes"][-1]
    flops = BATCH * pair_flops(RECEIVER, RECEIVER, WIDTH, IMAGE, COLUMNS, COLUMNS)
    assert whole["cells"] * whole["gflops_per_cell"] == pytest.approx(flops / 1e9, abs=whole["cells"] * 5e-4)
    assert [row["pairs"] for row in result["pairs"]] == [1, 2, 4]
    assert result["pairs"][-1]["resident_mb"] < 1.05 * result["pairs"][0]["resident_mb"]


def test_a_pair_takes_less_memory_than_it_asks_for():
    options = ("--width", str(WIDTH), "--batch", str(BATCH), "--rows", "2", "--protocol", "fast")
    (row,) = printed("memory.py", *PAIR, *options, "--images", "1000")["rows"]
    assert row["cells"] == 2 * len(COLUMNS)
    assert 100 < row["resident_mb"] < row["asked_mb"]


def test_a_jobs_overhead_grows_with_what_it_imports():
    seconds = printed("overhead.py", "--images", "60", "--repeats", "1", "--jobs", "1")["seconds"]
    assert 0 < seconds["python"] < seconds["python, torch"]
