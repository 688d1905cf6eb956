"""Each benchmark runs, and what it counts is what the networks' sizes say. Its times are anybody's."""

import json
import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from modelstitch import hardware
from modelstitch.data import datasets
from modelstitch.data.datasets import Split
from modelstitch.networks import weights
from tests.checkout import ROOT

BENCHMARKS = ROOT / "benchmarks"
CHANNELS, SIZE, CLASSES = 3, 32, 10
WIDTH, BATCH = 4, 3
SENDER, RECEIVER = "R1111", "R1112"
ROWS, COLUMNS = range(5), range(6)
ON_CPU = ("--device", "cpu", "--threads", "1")
PAIR = (*ON_CPU, "--architectures", SENDER, RECEIVER)
DIFFERENCES = ("loss_difference", "parameter_difference")  # between loop and engine
COMBINATION = (*PAIR, "--width", str(WIDTH), "--batch", str(BATCH), "--precision", "float32", "bfloat16")


# Two networks: tokens of an image without a convolution, and maps of a grouped one.
OWN = """
from torch import Tensor, nn


class Tokens(nn.Module):
    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.embed = nn.Linear(16 * channels, 12)
        self.blocks = nn.Sequential(*(nn.TransformerEncoderLayer(12, 2, 24, batch_first=True) for _ in range(2)))
        self.head = nn.Linear(12, classes)

    def forward(self, images: Tensor) -> Tensor:
        patches = images.unfold(2, 4, 4).unfold(3, 4, 4).flatten(4).permute(0, 2, 3, 1, 4).flatten(3).flatten(1, 2)
        return self.head(self.blocks(self.embed(patches)).mean(dim=1))


class Maps(nn.Module):
    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 6, 5, stride=2)
        self.second = nn.Conv2d(6, 8, 3, groups=2)
        self.head = nn.Linear(8, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.second(self.first(images).relu()).relu().mean(dim=(2, 3)))
"""


def test_planning_and_gathering_end_with_the_tables_of_all_pairs(tmp_path):
    result = printed(
        "gathering.py", "--pairs", "4", "--images", "20", "--until", "make_tables", "--folder", tmp_path / "study"
    )
    assert result["pairs"] == 4 and result["plan_again"]["processor_seconds"] > 0
    cells = pd.read_parquet(tmp_path / "study/results/many/tables/cells.parquet")
    assert len(cells) == (5 + 6) ** 2 and (cells.test_images == 20).all()


def test_the_gpus_sections_run_in_miniature():
    sections = ["engine", "pairs", "network", "sharing", "exhausted"]
    found = printed("gpu.py", "--small", "--device", "cpu", "--epochs", "1", "--sections", *sections)
    assert not any("failed" in found[section] for section in sections)
    (row,) = found["engine"]
    assert row["cells"] == 36 and row["ratio_in_precision"] > 0 and row["max_difference"] < 1e-4
    assert [row["train_images"] for row in found["pairs"]] == [48, 16]
    assert found["network"]["epochs"] == 1 and [row["processes"] for row in found["sharing"]] == [1, 2]


def test_a_section_that_fails_says_so_and_the_others_run():
    found = printed("gpu.py", "--small", "--device", "cpu", "--limit", "0.01", "--sections", "exhausted")
    assert found["exhausted"] == {"failed": "stopped after 0.01 s"}


def printed(script: str, *arguments: str) -> dict:
    """What the last line of a benchmark says."""
    run = subprocess.run(
        [sys.executable, BENCHMARKS / script, *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(run.stdout.splitlines()[-1])


def precisions() -> list[str]:
    return ["float32", "bfloat16"] if hardware.has_bfloat16("cpu") else ["float32"]


def auto_precisions() -> list[str]:
    """float32, and what `auto` is where that is another."""
    return list(dict.fromkeys(("float32", str(hardware.choose_precision("auto", "cpu")).removeprefix("torch."))))


def layers(name: str) -> list[tuple[int, int, int]]:
    """Channels, size and operations of a Small ResNet's layers for an image: the stem, then each block."""
    channels, size = WIDTH, SIZE
    found = [(channels, size, 2 * size**2 * 9 * CHANNELS * channels)]
    for stage, blocks in enumerate(map(int, name[1:])):
        for block in range(blocks):
            inputs, channels = channels, WIDTH * 2**stage
            size //= 2 if stage and not block else 1
            shortcut = 0 if inputs == channels else inputs
            found.append((channels, size, 2 * size**2 * channels * (9 * inputs + 9 * channels + shortcut)))
    return found


def suffixes_of(name: str) -> list[int]:
    """Operations of the convolutions after each layer."""
    operations = [operations for _, _, operations in layers(name)]
    return [sum(operations[j + 1 :]) for j in range(len(operations))]


def pair_operations(sender: str, receiver: str) -> int:
    """Of a training step of all cells, an image: the sender once, forward and back each suffix and stitch.

    A stitch sees every number of its source once for each channel of its target, whichever of the two is larger.
    """
    total = sum(operations for _, _, operations in layers(sender))
    last, _, _ = layers(receiver)[-1]
    for channels, size, _ in layers(sender):
        for (outputs, _, _), suffix in zip(layers(receiver), suffixes_of(receiver), strict=True):
            total += 2 * (2 * size**2 * channels * outputs + suffix + 2 * last * CLASSES)
    return total


def test_the_engines_operations_are_those_of_its_layers_and_its_shares_are_sane():
    rows = printed("stitching_speed.py", *COMBINATION, "--repeats", "1")["rows"]
    assert [row["precision"] for row in rows] == precisions()
    flops = BATCH * pair_operations(SENDER, RECEIVER)
    in_suffixes = 2 * BATCH * len(ROWS) * sum(suffixes_of(RECEIVER))
    for row in rows:
        assert row["cells"] == len(ROWS) * len(COLUMNS)
        assert row["gflops"] == pytest.approx(flops / 1e9, rel=1e-3)
        assert row["convolutions_gflops"] == pytest.approx(in_suffixes / 1e9, rel=1e-3)
        assert 0 < row["share_of_matmul"] < 2 and 0 < row["share_of_convolutions"] < 5
        assert row["max_difference"] < 1e-5


def test_networks_of_any_kind_are_compared_with_the_loop(tmp_path):
    (tmp_path / "mine.py").write_text(OWN)
    pairs = ("--architectures", SENDER, f"{tmp_path}/mine.py:Tokens", "--architectures", f"{tmp_path}/mine.py:Tokens")
    options = ("--image", "1x12x20", "--width", "2", "4", "--batch", str(BATCH), "--repeats", "2")
    rows = printed("stitching_speed.py", *ON_CPU, *pairs, f"{tmp_path}/mine.py:Maps", *options)["rows"]
    assert [(row["width"], row["cells"]) for row in rows] == [(2, 5 * 3), (4, 5 * 3), (None, 3 * 2)]
    assert [row["share_of_convolutions"] is None for row in rows] == [True, True, False]
    assert all(row["image"] == [1, 12, 20] and row["max_difference"] < 1e-5 for row in rows)
    # Maps' second convolution, after its layer 0 alone: 8 x 2 x 6 numbers, each of 3 channels of 3 x 3.
    in_suffixes = 2 * BATCH * 3 * (2 * 8 * 2 * 6 * 3 * 9)
    assert rows[-1]["convolutions_gflops"] == pytest.approx(in_suffixes / 1e9, rel=1e-3)


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
    depth = len(COLUMNS)
    assert [row["cells"] for row in result["sizes"]] == [count * depth for count in range(1, depth + 1)]
    whole = result["sizes"][-1]
    flops = BATCH * pair_operations(RECEIVER, RECEIVER)
    assert whole["cells"] * whole["gflops_per_cell"] == pytest.approx(flops / 1e9, abs=whole["cells"] * 5e-4)
    assert [row["pairs"] for row in result["pairs"]] == [1, 2, 4]
    assert result["pairs"][-1]["resident_mb"] < 1.05 * result["pairs"][0]["resident_mb"]


def test_a_pair_takes_less_memory_than_it_asks_for():
    options = ("--width", str(WIDTH), "--batch", str(BATCH), "--rows", "2", "--protocol", "fast")
    (row,) = printed("memory.py", *PAIR, *options, "--images", "1000")["rows"]
    assert row["cells"] == 2 * len(COLUMNS)
    assert 100 < row["resident_mb"] < row["asked_mb"]


def test_a_jobs_overhead_grows_with_what_it_imports():
    result = printed("overhead.py", "--images", "60", "--repeats", "1", "--jobs", "1")
    for seconds in (result["seconds"], result["processor_seconds"]):
        assert 0 < seconds["python"] < seconds["python, torch"]
        assert 0 < seconds["a fork, data"] < seconds["python, torch"]


@pytest.fixture
def study_of_a_pair(digits, trained, tmp_path):
    """What the benchmarks of protocols take of a study, with 300 training images, and the layers of four cells."""
    train, test = (
        Split(split.images[:count], split.labels[:count]) for split, count in ((digits.train, 300), (digits.test, 200))
    )
    for folder in ("data", "study"):
        (tmp_path / folder).mkdir()
    datasets.write(tmp_path / "data/dataset.h5", "300 digits", train, test, digits.classes)
    shutil.copy(ROOT / "config/config.yaml", tmp_path / "study")
    weights.save(tmp_path / "networks/R1111.safetensors", trained)
    pair = ("--results", tmp_path, "--pair", "R1111", "R1111")
    return *pair, "--sender-layers", "3", "4", "--receiver-layers", "3", "4"


def test_protocols_are_compared_with_the_converged_matrix(study_of_a_pair):
    lengths = ("--reference-epochs", "1", "--protocols", "fast:1:32:0.3", "paper:2:64:0.01")
    result = printed("protocols.py", "--threads", "1", *study_of_a_pair, *lengths)
    rows = {row["protocol"]: row for row in result["rows"]}
    assert [(name, row["images"]) for name, row in rows.items()] == [
        ("converged, least-squares", 300),
        ("converged, random", 300),
        ("fast:1:32:0.3", 300),
        ("paper:2:64:0.01", 600),
    ]
    assert len(result["reference"]) == 4
    for name, row in rows.items():
        assert abs(row["bias"]) <= row["mean_difference"] <= row["largest"]
        if name.startswith("converged"):  # the reference is the largest in each cell
            assert row["bias"] == -row["mean_difference"]


def test_ways_to_the_most_similar_stitch_are_compared(study_of_a_pair):
    result = printed("similarity.py", "--threads", "1", *study_of_a_pair, "--steps", "0.01:1:1", "--decays", "0.01")
    rows = {row["way"]: row for row in result["rows"]}
    assert list(rows) == ["closed form", "closed form, decay 0.01", "steps 0.01 1 1"]
    assert result["cells"] == [[3, 3], [4, 3], [3, 4], [4, 4]]
    closed, trained = (rows[way]["errors"] for way in ("closed form", "steps 0.01 1 1"))
    assert all(0 <= least < found for least, found in zip(closed, trained, strict=True))


def test_other_protocols_are_timed_to_the_converged_matrix(study_of_a_pair):
    result = printed("others.py", *study_of_a_pair, "--reference-epochs", "2", "--most-seconds", "0.1")
    reference = pd.Series(result["reference"])
    assert list(result["details"]) == auto_precisions()
    for precision, protocols in result["details"].items():
        rows = {(row["protocol"], row["how"]): row for row in result[precision]}
        assert list(rows) == [
            *((name, how) for name in ("paper", "balogh-jelasity", "csiszarik") for how in ("loop", "engine")),
            ("fast", "engine"),
        ]
        for name, details in protocols.items():
            steps = {}
            for training in details["trainings"]:
                apart = (reference - pd.Series(training["accuracies"])).abs().mean()
                assert training["mean_difference"] == pytest.approx(apart, abs=1e-4)
                assert (training["bound"] == "") is (training["mean_difference"] <= 0.02)
                steps.setdefault(training["bound"], []).append(training["steps"])
            engine = rows[name, "engine"]
            assert engine["steps"] == (min(steps[""]) if "" in steps else max(steps["more than"]))
            assert engine["times_fast"] == pytest.approx(
                engine["seconds"] / rows["fast", "engine"]["seconds"], abs=0.06
            )
            if name != "fast":
                loop = rows[name, "loop"]
                product = details["start"] + details["step_seconds"] * engine["steps"]
                assert loop["seconds"] == pytest.approx(product, rel=1e-3)
                assert (loop["steps"], loop["bound"]) == (engine["steps"], engine["bound"])
    exact = result["details"]["float32"]
    published = {name: details["trainings"][0]["steps"] for name, details in exact.items()}
    assert published == {"paper": 4, "balogh-jelasity": 30, "csiszarik": 60, "fast": 9}
    assert all(max(exact[name][what] for what in DIFFERENCES) < 1e-5 for name in list(exact)[:-1])
    whole = result["whole_loop"]
    assert whole["difference_to_engine"] < 0.01 and 0.1 < whole["ratio"] < 10
