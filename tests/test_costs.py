"""Estimates of a job's operations, memory and time."""

from pathlib import Path

import pytest
import torch
import yaml
from torch.utils.flop_counter import FlopCounterMode

from modelstitch.architectures import Shape
from modelstitch.config import load_study
from modelstitch.costs import WINOGRAD_BYTES, WINOGRAD_CHANNELS, Costs, layer_flops, pair_flops, stitch_flops
from modelstitch.networks import build
from modelstitch.stitches import Geometry, initialise
from modelstitch.winograd import CHANNELS, WinogradConvolution

CONFIGS = Path(__file__).parents[1] / "config"


def counted(call, *arguments) -> int:
    with FlopCounterMode(display=False) as counter:
        call(*arguments)
    return counter.get_total_flops()


def costs(name: str, **jobs) -> Costs:
    values = yaml.safe_load((CONFIGS / name).read_text())
    values["jobs"] |= jobs
    return Costs(load_study(values, name))


@pytest.mark.parametrize("architecture", ["R1111", "R1222", "R2112"])
def test_operations_of_a_network_are_those_that_torch_counts(architecture):
    network = build(architecture, width=4, channels=3, classes=10, seed=0).eval()
    with torch.no_grad():
        counted_flops = counted(network, torch.zeros(1, 3, 32, 32))
    head = 2 * network.head.in_features * 10
    assert sum(layer_flops(architecture, 4, (3, 32, 32))) == counted_flops - head


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (Shape(4, 32, 32), Shape(8, 16, 16)),
        (Shape(4, 32, 32), Shape(32, 4, 4)),
        (Shape(8, 16, 16), Shape(8, 16, 16)),
        (Shape(32, 4, 4), Shape(4, 32, 32)),
    ],
)
def test_operations_of_a_stitch_are_those_that_torch_counts(source, target):
    stitch = initialise(Geometry.between(source, target), seed=0)
    assert stitch_flops(source, target) == counted(stitch, torch.zeros(1, *source))


def test_blocks_of_a_pair_cost_what_the_pair_costs_and_the_senders_pass_again():
    image, layers = (3, 32, 32), range(5)
    whole = pair_flops("R1111", "R1111", 8, image, layers, layers)
    blocks = [pair_flops("R1111", "R1111", 8, image, layers, block) for block in ([0, 1], [2, 3], [4])]
    assert sum(blocks) == whole + 2 * sum(layer_flops("R1111", 8, image))


def test_a_job_of_the_paper_asks_for_more_than_one_of_the_default_study():
    paper, default = costs("paper.yaml"), costs("config.yaml")
    pair = ("R1111_trained_s0", "R1111_trained_s0", range(5), range(5))
    assert paper.pair_minutes(*pair) > default.pair_minutes(*pair)
    assert paper.pair_mb(pair[0]) > default.pair_mb(pair[0])
    assert paper.network_mb() > default.network_mb()


def test_more_cores_take_less_time():
    assert costs("paper.yaml", threads=8).network_minutes() < costs("paper.yaml", threads=1).network_minutes()


def test_the_transformed_weights_of_wide_networks_are_counted():
    assert WINOGRAD_CHANNELS == CHANNELS
    wide = WinogradConvolution(torch.nn.Conv2d(128, 128, 3, padding=1).double())
    held = sum(tensor.nbytes for tensor in (wide.weights, wide.turned, wide.exact))
    assert held == WINOGRAD_BYTES * 128**2
