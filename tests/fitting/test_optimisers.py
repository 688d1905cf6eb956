"""The fused steps: what torch's classes do, to the last bit, and without their imports."""

import subprocess
import sys

import pytest
import torch

from modelstitch.fitting import optimisers

SHAPES = [(4, 3, 2, 2), (4,), (1, 5)]
RATES = [0.1, 0.05, 0.02, 0.0]


def parameters():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in SHAPES]


def loss(parameters):
    return sum((parameter**3).sum() for parameter in parameters)


@pytest.mark.parametrize(
    ("ours", "torchs"),
    [
        (lambda of: optimisers.SGD(of, 0.9, 0.01), lambda of: torch.optim.SGD(of, 0.0, 0.9, 0, 0.01, fused=True)),
        (lambda of: optimisers.SGD(of), lambda of: torch.optim.SGD(of, 0.0, fused=True)),
    ],
)
def test_steps_are_those_of_torchs_classes(ours, torchs):
    moved, expected = parameters(), parameters()
    one, other = ours(moved), torchs(expected)
    for rate in RATES:
        one.rate = other.param_groups[0]["lr"] = rate
        for optimiser, of in ((one, moved), (other, expected)):
            optimiser.zero_grad()
            loss(of).backward()
            optimiser.step()
        assert all(torch.equal(*pair) for pair in zip(moved, expected, strict=True))
    assert not torch.equal(moved[0], parameters()[0])


def test_a_parameter_without_a_gradient_is_an_error():
    with pytest.raises(RuntimeError, match="no gradient"):
        optimisers.SGD(parameters()).step()


def test_a_step_does_not_import_torchs_compiler():
    code = """
import sys, torch
from modelstitch.fitting import optimisers
parameter = torch.ones(3, requires_grad=True)
optimiser = optimisers.SGD([parameter])
optimiser.zero_grad()
parameter.sum().backward()
optimiser.step()
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
