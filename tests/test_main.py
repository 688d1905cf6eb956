"""The command that lists where a network can be cut."""

import re
import subprocess
import sys

import pytest

from modelstitch.__main__ import main
from modelstitch.networks import weights

MINE = """
from torch import nn


class Net(nn.Sequential):
    def __init__(self, channels, classes):
        head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, classes)
        super().__init__(nn.Conv2d(channels, 5, 3), nn.ReLU(), *head)
"""


def listed(capsys, *arguments):
    """Rows of the list: layer, name, shape, kind."""
    assert main(["layers", *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [[part.strip() for part in re.split(" {2,}", line)] for line in lines[1 : lines.index("")]]
    return rows, lines[lines.index("") + 1]


def test_every_place_is_listed_with_the_layers_by_default(capsys):
    rows, summary = listed(capsys, "R1111", "--arguments", '{"width": 4}')
    layers = [row for row in rows if row[0]]
    assert [row[0] for row in layers] == list("01234")
    assert [row[1] for row in layers] == [f"layers.{i}" for i in range(5)]
    assert [row[2] for row in layers] == ["4 x 32 x 32", "4 x 32 x 32", "8 x 16 x 16", "16 x 8 x 8", "32 x 4 x 4"]
    assert len(rows) > 5 and summary.startswith("R1111, images 3 x 32 x 32: 5 layers by default, of ")


def test_operations_are_shares_of_the_whole_up_to_a_layer(capsys):
    rows, _ = listed(capsys, "R1111", "--arguments", '{"width": 8}')
    shares = [int(row[-1].removesuffix("%")) for row in rows if row[0]]
    assert shares == sorted(shares) and shares[-1] == 100


def test_a_network_that_needs_large_images_gets_them(capsys):
    rows, summary = listed(capsys, "torchvision:vit_b_32")
    assert {tuple(row[2:4]) for row in rows if row[0]} == {("50 x 768", "tokens, 1 extra")}
    assert "images 3 x 224 x 224: 13 layers by default" in summary


def test_a_file_of_ones_own_and_a_network_that_a_study_made(capsys, tmp_path, trained):
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    rows, _ = listed(capsys, f"{path}:Net", "--image", "1x9x9", "--classes", "3")
    assert rows[1][:4] == ["0", "1", "5 x 7 x 7", "map"]
    weights.save(tmp_path / "network.safetensors", trained)
    rows, summary = listed(capsys, str(tmp_path / "network.safetensors"))
    assert "R1111_trained_s0, images 1 x 32 x 32: 5 layers" in summary


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["torchvision:vgg11bn"], "torchvision has no classification model 'vgg11bn' (did you mean 'vgg11_bn'?)"),
        (["R1111", "--image", "32"], "--image 32: expected channels, height and width: 3x32x32"),
        (["nowhere.safetensors"], "nowhere.safetensors"),
    ],
)
def test_what_is_wrong_is_one_line_on_stderr(capsys, arguments, expected):
    assert main(["layers", *arguments]) == 1
    captured = capsys.readouterr()
    assert not captured.out and expected in captured.err and captured.err.count("\n") == 1


def test_it_is_run_as_a_module():
    command = [sys.executable, "-m", "modelstitch", "layers", "torchvision:vgg11_bn"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "features.3" in run.stdout and run.stdout.splitlines()[-1].startswith("Others: ")
