"""What every family of stitches owes to those that use it, between representations of any kind."""

import itertools
import subprocess
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from modelstitch.config.families import Family
from modelstitch.config.section import read
from modelstitch.fitting.beginning import start_nearest, trainable
from modelstitch.fitting.matching import error
from modelstitch.optimisers import SGD, AdamW
from modelstitch.stitches import files
from modelstitch.stitches.families import capacity, family_of, geometry_of, has_statistics
from modelstitch.stitches.families.linear import LinearMap, Stitch
from tests.checkout import ROOT
from tests.stitches.made import KINDS, error_of, moments_of, values_of

FAMILIES = [
    {"name": "linear"},
    {"name": "low-rank", "rank": 2},
    {"name": "low-rank", "rank": 1000},
    {"name": "orthogonal"},
    {"name": "permutation"},
    {"name": "convolution", "kernel": 3},
    {"name": "convolution", "kernel": 5},
    {"name": "resized", "mode": "bilinear"},
    {"name": "resized", "mode": "nearest"},
    {"name": "bias"},
    {"name": "batch-norm"},
    {"name": "mlp", "hidden": 7},
]
EACH = pytest.mark.parametrize("family", [read(Family, each) for each in FAMILIES], ids=lambda each: each.name)
PAIRS = list(itertools.product(KINDS, repeat=2))


def begun(family, source, target, seed=0):
    """A fresh stitch, with gradients."""
    geometry = geometry_of(family)(source, target)
    return trainable(family_of(family.name).initialise(geometry, seed, family), "cpu")


def constant(geometry, sent, received):
    """The linear stitch that gives the means of what is expected."""
    moments = moments_of(geometry, sent, received)
    means = [moments.statistics((0, 0), part).target_mean for part in range(len(geometry.parts))]
    sizes = [(part.outputs, part.inputs) for part in geometry.parts]
    maps = (LinearMap(torch.zeros(size), mean) for size, mean in zip(sizes, means, strict=True))
    return Stitch(geometry, tuple(maps))


def nearest(family, geometry, sent, received):
    return family_of(family.name).solve(moments_of(geometry, sent, received), (0, 0), 1e-9, family)


@EACH
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_stitch_gives_what_stands_for_the_receivers_in_the_precision_of_what_it_sees(family, source, target):
    stitch, values = begun(family, source, target), values_of(source, images=3)
    single, double, half = (stitch(values.to(dtype)) for dtype in (torch.float32, torch.float64, torch.bfloat16))
    assert (single.dtype, double.dtype, half.dtype) == (torch.float32, torch.float64, torch.bfloat16)
    assert single.shape == (3, *target.shape)
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(half.double(), double, rtol=0.1, atol=0.1 * double.abs().max().item())


@EACH
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_the_error_before_upsampling_is_that_after_it(family, source, target):
    sent, received = values_of(source, 5).float(), values_of(target, 5, seed=1).float()
    stitch = begun(family, source, target)
    slow = (stitch(sent) - received).square().mean()
    torch.testing.assert_close(error(stitch, sent, received), slow, rtol=1e-4, atol=1e-6)


@EACH
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_least_squares_beat_a_fresh_stitch_and_a_constant(family, source, target):
    """And a constant is what a family with a bias and a scale can always express."""
    sent, received = values_of(source), values_of(target, seed=1)
    stitch = nearest(family, geometry_of(family)(source, target), sent, received)
    found, fresh = error_of(stitch, sent, received), error_of(begun(family, source, target), sent, received)
    assert found < fresh
    if family.name != "bias":
        assert found < error_of(constant(stitch.geometry, sent, received), sent, received)


@EACH
@pytest.mark.parametrize("protocol", ["sgd", "adam"])
def test_steps_reduce_the_error_of_a_fresh_stitch_and_move_all_its_parameters(family, protocol):
    source, target = KINDS[0], KINDS[3]
    sent, received = values_of(source).float(), values_of(target, seed=1).float()
    stitch = begun(family, source, target)
    if has_statistics(family):
        start_nearest({(0, 0): stitch}, moments_of(stitch.geometry, sent, received), family, "random")
    before = {name: tensor.detach().clone() for name, tensor in stitch.tensors.items()}
    optimiser = SGD(stitch.parameters, 0.9) if protocol == "sgd" else AdamW(stitch.parameters)
    optimiser.rate = 1e-2
    losses = []
    for _ in range(50):
        optimiser.zero_grad()
        loss = error(stitch, sent, received)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    moved = {id(tensor) for tensor in stitch.parameters}
    for name, tensor in stitch.tensors.items():
        assert torch.equal(tensor, before[name]) == (id(tensor) not in moved)


@EACH
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_numbers_and_operations_are_those_that_torch_counts(family, source, target):
    stitch = begun(family, source, target)
    module, geometry = family_of(family.name), stitch.geometry
    numbers = sum(tensor.numel() * tensor.element_size() for tensor in stitch.tensors.values()) // 4
    assert module.numbers(geometry, family) == numbers
    assert 0 < capacity(geometry, family) <= numbers
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        stitch(torch.zeros(1, *source.shape))
    assert module.operations(geometry, family) == counter.get_total_flops()


@EACH
@pytest.mark.parametrize(("source", "target"), [(KINDS[0], KINDS[2]), (KINDS[5], KINDS[0]), (KINDS[3], KINDS[4])])
def test_capacity_is_the_rank_of_what_parameters_change(family, source, target):
    fresh = begun(family, source, target)
    tensors = {name: each.detach() for name, each in fresh.tensors.items()}
    tensors = {name: each.double() if each.is_floating_point() else each for name, each in tensors.items()}
    stitch = trainable(fresh.of(fresh.geometry, tensors), "cpu")
    given = stitch(values_of(source, images=60))
    generator = torch.Generator().manual_seed(1)
    count = sum(each.numel() for each in stitch.parameters) + 5
    gradients = []
    for _ in range(count):  # of random sums of what it gives, which span the rows of the Jacobian
        weights = torch.randn(given.shape, dtype=given.dtype, generator=generator)
        found = torch.autograd.grad((given * weights).sum(), stitch.parameters, retain_graph=True, allow_unused=True)
        gradients.append(torch.cat([each.flatten() for each in found if each is not None]))
    assert torch.linalg.matrix_rank(torch.stack(gradients), rtol=1e-9) == capacity(stitch.geometry, family)


@EACH
def test_a_file_gives_the_stitches_back(family, tmp_path):
    path = tmp_path / "stitches.safetensors"
    shapes = dict(enumerate(KINDS))
    stitches = {
        (i, j): begun(family, shapes[i], shapes[j], seed=i) for i, j in itertools.product(range(len(KINDS)), repeat=2)
    }
    files.write(path, stitches, family.name, dict.fromkeys(files.PAIR, "x"))
    for cell, stitch in files.read(path).items():
        assert stitch.geometry == stitches[cell].geometry
        assert stitch.tensors.keys() == stitches[cell].tensors.keys()
        assert all(torch.equal(tensor, stitches[cell].tensors[name]) for name, tensor in stitch.tensors.items())


@EACH
def test_moments_that_are_not_finite_give_no_solution_and_leave_a_start_as_it_is(family):
    source, target = KINDS[0], KINDS[3]
    sent = values_of(source)
    sent[0, 0] = torch.inf
    moments = moments_of(geometry_of(family)(source, target), sent, values_of(target))
    solution = family_of(family.name).solve(moments, (0, 0), 1e-4, family)
    assert not any(each.isfinite().any() for each in solution.tensors.values() if each.is_floating_point())
    stitch = begun(family, source, target)
    before = {name: tensor.clone() for name, tensor in stitch.tensors.items()}
    start_nearest({(0, 0): stitch}, moments, family)
    assert all(torch.equal(tensor, before[name]) for name, tensor in stitch.tensors.items())


@EACH
def test_inputs_that_are_all_the_same_give_a_finite_start(family):
    source, target = KINDS[0], KINDS[3]
    moments = moments_of(geometry_of(family)(source, target), 0 * values_of(source), values_of(target))
    solution = family_of(family.name).solve(moments, (0, 0), 1e-4, family)
    assert all(each.isfinite().all() for each in solution.tensors.values())


def test_geometry_and_cost_of_a_family_need_no_torch():
    command = f"""
import sys
from modelstitch.config.families import Family
from modelstitch.config.section import read
from modelstitch.networks.representations import Representation
from modelstitch.stitches.families import capacity, family_of, geometry_of, has_statistics
for each in {FAMILIES}:
    family = read(Family, each)
    geometry = geometry_of(family)(Representation(3, 8, 8), Representation(4, 4, 4, "tokens", 1))
    module = family_of(family.name)
    module.numbers(geometry, family), module.operations(geometry, family), capacity(geometry, family)
    has_statistics(family)
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", command], cwd=ROOT).returncode == 0
