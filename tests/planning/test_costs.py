"""Estimates of a job's operations, bytes on disk, memory and time."""

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

from modelstitch import records
from modelstitch.config import load_study
from modelstitch.data import datasets
from modelstitch.data.datasets import Sizes, Split
from modelstitch.engine.frozen import FrozenNetwork
from modelstitch.engine.stitching import StitchedPair, cross_entropies
from modelstitch.engine.winograd import CHANNELS, WinogradConvolution
from modelstitch.fitting.muon import WhitenedMuon
from modelstitch.fitting.schedule import count_steps
from modelstitch.identifiers import RECIPES
from modelstitch.networks import small_resnet
from modelstitch.networks.architectures import Shape
from modelstitch.networks.small_resnet import build
from modelstitch.planning.costs import (
    WINOGRAD_BYTES,
    WINOGRAD_CHANNELS,
    Costs,
    layer_flops,
    muon_flops,
    pair_flops,
    stitch_flops,
)
from modelstitch.records import Column
from modelstitch.stitches.linear import Geometry, geometries, initialise
from modelstitch.stitches.normal_equations import Moments
from tests.checkout import ROOT

CONFIGS = ROOT / "config"


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


def test_operations_of_a_pair_are_those_that_torch_counts():
    sender, receiver = (FrozenNetwork(build(name, 4, 3, 10, 0).eval()) for name in ("R1111", "R1112"))
    sources, targets = (network.shapes((3, 32, 32)) for network in (sender, receiver))
    cells = [(i, j) for j in (0, 3, 5) for i in (1, 3)]
    stitches = {(i, j): initialise(Geometry.between(sources[i], targets[j]), seed=0) for i, j in cells}
    pair, images, labels = StitchedPair(sender, receiver, stitches), torch.zeros(2, 3, 32, 32), torch.zeros(2).long()

    def train():
        for _, group, logits in pair.passes(images):
            cross_entropies(logits, labels[group.images]).sum().backward()

    @torch.no_grad()
    def evaluate():
        list(pair.passes(images))

    head = 2 * len(cells) * receiver.head.in_features * 10
    for call, passes in ((train, 2), (evaluate, 1)):
        expected = pair_flops("R1111", "R1112", 4, (3, 32, 32), (1, 3), (0, 3, 5), passes)
        assert counted(call) == len(images) * (expected + passes * head)


def test_operations_of_muon_are_those_that_torch_counts():
    shapes = FrozenNetwork(build("R1112", 4, 3, 10, seed=0).eval()).shapes((3, 32, 32))
    cells = geometries(shapes, shapes, (-1, 0, 2), range(6))
    stitches = {cell: initialise(geometry, 0) for cell, geometry in cells.items()}
    moments = Moments(cells)
    moments.add(*(({layer: torch.rand(2, *shape) for layer, shape in shapes.items()}),) * 2)
    optimiser = WhitenedMuon(stitches, moments)
    for tensor in optimiser.parameters:
        tensor.grad = torch.ones_like(tensor)
    step = sum(muon_flops(shapes[i], shapes[j]) for i, j in cells)
    assert step == counted(optimiser.step)
    digits = costs("config.yaml")
    shapes = FrozenNetwork(build("R1112", 4, 1, 10, seed=0).eval()).shapes(digits.sizes.image)
    step = sum(muon_flops(shapes[i], shapes[j]) for i in range(6) for j in (2, 3))
    steps = count_steps(digits.study.stitches.task, digits.sizes.train_images)
    assert digits.optimiser_flops("task", "R1112_trained_s0", "R1112_random_s0", range(6), (2, 3)) == steps * step


def test_an_evaluation_costs_a_forward_pass_of_each_cell_over_the_whole_test_set():
    laptop = costs("cifar10-laptop.yaml")
    pair = ("R1111_trained_s0", "R1112_trained_s0", range(5), range(6))
    training, evaluation = laptop.training_flops("task", *pair), laptop.evaluation_flops(*pair)
    forward = sum(layer_flops("R1111", 8, (3, 32, 32)))
    soft_labels = sum(layer_flops("R1112", 8, (3, 32, 32)))
    moving = laptop.optimiser_flops("task", *pair)
    assert (training - moving) / (195 * 64) - forward - soft_labels == 2 * (evaluation / 10_000 - forward) > 0
    assert laptop.teaching_flops("R1111_trained_s0", "R1112_random_s0", range(5)) == 0
    unseen = sum(layer_flops("R1111", 8, (3, 32, 32))[3:])
    assert laptop.teaching_flops("R1111_trained_s0", "R1112_trained_s0", [0, 2]) == unseen + soft_labels
    assert laptop.teaching_flops("R1111_random_s0", "R1112_random_s0", [0, 2]) == 0
    assert laptop.network_flops("R1111_trained_s0") == forward * (10 * (3 * 50_000 + 10_000) + 10_000)
    assert laptop.network_flops("R1111_random_s0") == forward * 10_000


def test_bytes_are_those_of_the_files(tmp_path):
    sizes = Sizes((3, 16, 16), 500, 1000, 10)
    laptop = Costs(costs("cifar10-laptop.yaml").study, sizes)
    sender, receiver = ("R1111_trained_s0", "R1122_trained_s0")
    layers = (range(5), range(7))
    generator = np.random.default_rng(0)
    splits = [
        Split(generator.integers(256, size=(count, *sizes.image), dtype=np.uint8), generator.integers(10, size=count))
        for count in (sizes.train_images, sizes.test_images)
    ]
    datasets.write(tmp_path / "dataset", "noise", *splits, tuple("0123456789"))
    small_resnet.save(tmp_path / "network", build("R1122", 8, 3, 10, seed=0), {})
    columns = [
        Column(
            receiver_layer=layer,
            sender_layers=tuple(layers[0]),
            **dict.fromkeys(("test_accuracy", "test_loss"), np.zeros(5)),
            **dict.fromkeys(("train_accuracy", "train_loss"), np.zeros((5, 1))),
            test_images=sizes.test_images,
            predictions=generator.integers(10, size=(5, sizes.test_images)).astype(np.uint8),
            diverged=np.zeros(5, bool),
            reason=("",) * 5,
        )
        for layer in layers[1]
    ]
    records.write_pair(tmp_path / "record", columns, dict.fromkeys(records.IDENTITY, ""))
    sources, targets = (build(name, 8, 3, 10, 0) for name in ("R1111", "R1122"))
    sources, targets = (FrozenNetwork(network).shapes(sizes.image) for network in (sources, targets))
    stitches = {
        f"{i}.{j}.{name}": getattr(initialise(Geometry.between(sources[i], targets[j]), seed=0), name).detach()
        for i in layers[0]
        for j in layers[1]
        for name in ("weight", "bias")
    }
    save_file(stitches, tmp_path / "stitches")
    expected = {
        "dataset": laptop.dataset_bytes(),
        "network": laptop.network_bytes("R1122"),
        "record": laptop.record_bytes(*layers),
        "stitches": laptop.stitches_bytes(sender, receiver, *layers),
    }
    for name, size in expected.items():
        assert size == pytest.approx((tmp_path / name).stat().st_size, rel=0.15), name


def test_requests_cover_what_was_measured():
    """Of R1122 to itself in the laptop study: 4.2 minutes of one busy AVX2 core and 1,075 MB; 8.6 to train R1122."""
    laptop = costs("cifar10-laptop.yaml")
    pair = ("R1122_trained_s0", "R1122_trained_s0", range(7), range(7))
    assert 2 * 4.2 < laptop.pair_minutes("task", *pair) < 20 * 4.2
    assert 1075 < laptop.pair_mb(pair[0]) < 4 * 1075
    assert 2 * 8.6 < laptop.network_minutes() < 20 * 8.6


def test_a_job_of_the_paper_asks_for_more_than_one_of_the_default_study():
    paper, default = costs("paper.yaml"), costs("config.yaml")
    pair = ("R1111_trained_s0", "R1111_trained_s0", range(5), range(5))
    assert paper.pair_minutes("task", *pair) > default.pair_minutes("task", *pair)
    assert paper.pair_mb(pair[0]) > default.pair_mb(pair[0])
    assert paper.network_mb() > default.network_mb()


def test_more_cores_take_less_time():
    eight, one = (costs("paper.yaml", device="cpu", threads=threads).network_minutes() for threads in (8, 1))
    assert eight < one


def test_the_transformed_weights_of_wide_networks_are_counted():
    assert WINOGRAD_CHANNELS == CHANNELS
    wide = WinogradConvolution(torch.nn.Conv2d(128, 128, 3, padding=1).double())
    held = sum(tensor.nbytes for tensor in (wide.weights, wide.turned, wide.exact))
    assert held == WINOGRAD_BYTES * 128**2


def test_operations_of_stitches_between_maps_that_are_not_square_are_those_that_torch_counts():
    for source, target in (
        (Shape(4, 32, 64), Shape(8, 16, 16)),
        (Shape(4, 16, 8), Shape(8, 4, 16)),
        (Shape(2, 8, 32), Shape(2, 8, 8)),
    ):
        stitch = initialise(Geometry.between(source, target), seed=0)
        assert stitch_flops(source, target) == counted(stitch, torch.zeros(1, *source))
        moments = Moments({(0, 0): stitch.geometry})
        moments.add({0: torch.rand(3, *source)}, {0: torch.rand(3, *target)})
        optimiser = WhitenedMuon({(0, 0): stitch}, moments)
        for tensor in optimiser.parameters:
            tensor.grad = torch.ones_like(tensor)
        assert muon_flops(source, target) == counted(optimiser.step)


@pytest.mark.parametrize("epochs", [0.001, 0.37, 1, 2.3])
def test_images_that_stitches_are_trained_on_are_those_of_the_engines_steps(epochs):
    laptop = costs("cifar10-laptop.yaml")
    task = laptop.study.stitches.task.model_copy(update={"epochs": epochs})
    study = laptop.study.model_copy(update={"stitches": laptop.study.stitches.model_copy(update={"task": task})})
    assert Costs(study).images_seen("task") == count_steps(task, 50_000) * task.batch


def test_each_objective_reserves_for_itself():
    laptop = costs("paper-laptop.yaml")
    pair = ("R1112_trained_s0", "R1112_trained_s0", range(6), range(6))
    minutes = {objective: laptop.pair_minutes(objective, *pair) for objective in ("task", "similarity")}
    for objective, asked in minutes.items():
        alone = laptop.study.stitches.model_copy(update={other: None for other in minutes if other != objective})
        assert asked == Costs(laptop.study.model_copy(update={"stitches": alone})).pair_minutes(objective, *pair)
    assert len(set(minutes.values())) == 2


def test_a_recipe_that_is_not_trained_costs_its_evaluation():
    laptop = costs("cifar10-laptop.yaml")
    recipes = {recipe: laptop.network_flops(f"R1111_{recipe}_s0") for recipe in RECIPES}
    assert min(recipes.values()) == recipes["random"] > 0
