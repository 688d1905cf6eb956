"""The fused steps: what torch's classes do, to the last bit, and without their imports."""

import subprocess
import sys

import pytest
import torch

from modelstitch import optimisers

SHAPES = [(4, 3, 2, 2), (4,), (1, 5)]
RATES = [0.1, 0.05, 0.02, 0.0]


def parameters():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in SHAPES]


def loss(parameters):
    return sum((parameter**3).sum() for parameter in parameters)


def torchs_adamw(of, decay):
    """Torch's class, with no decay for vectors."""
    groups = [
        {"params": [each for each in of if each.ndim > 1], "weight_decay": decay},
        {"params": [each for each in of if each.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, 0.0, fused=True)


@pytest.mark.parametrize(
    ("ours", "torchs"),
    [
        (lambda of: optimisers.SGD(of, 0.9, 0.01), lambda of: torch.optim.SGD(of, 0.0, 0.9, 0, 0.01, fused=True)),
        (lambda of: optimisers.SGD(of), lambda of: torch.optim.SGD(of, 0.0, fused=True)),
        (lambda of: optimisers.AdamW(of, 0.05), lambda of: torchs_adamw(of, 0.05)),
        (lambda of: optimisers.AdamW(of), lambda of: torchs_adamw(of, 0.0)),
    ],
)
def test_steps_are_those_of_torchs_classes(ours, torchs):
    moved, expected = parameters(), parameters()
    one, other = ours(moved), torchs(expected)
    for rate in RATES:
        one.rate = rate
        for group in other.param_groups:
            group["lr"] = rate
        for optimiser, of in ((one, moved), (other, expected)):
            optimiser.zero_grad()
            loss(of).backward()
            optimiser.step()
        assert all(torch.equal(*pair) for pair in zip(moved, expected, strict=True))
    assert not torch.equal(moved[0], parameters()[0])


@pytest.mark.parametrize("kind", [optimisers.SGD, optimisers.AdamW])
def test_a_parameter_without_a_gradient_is_an_error(kind):
    with pytest.raises(RuntimeError, match="no gradient"):
        kind(parameters()).step()


@pytest.mark.parametrize("kind", [lambda of: optimisers.SGD(of, 0.9, 0.01), lambda of: optimisers.AdamW(of, 0.05)])
def test_an_optimiser_given_another_ones_state_goes_on_as_that_would(kind):
    moved, other = parameters(), parameters()
    one, later = kind(moved), kind(other)
    for step in range(4):
        if step == 2:
            for mine, its in zip(other, moved, strict=True):
                mine.data.copy_(its)
            for name, values in later.state().items():
                values[:] = [value.clone() for value in one.state()[name]]
        for optimiser, of in ((one, moved), (later, other))[: 1 if step < 2 else 2]:
            optimiser.rate = RATES[step % 3]
            optimiser.zero_grad()
            loss(of).backward()
            optimiser.step()
    assert all(torch.equal(*pair) for pair in zip(moved, other, strict=True))


@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
def test_a_step_does_not_import_torchs_compiler(kind):
    code = f"""
import sys, torch
from modelstitch import optimisers
parameter = torch.ones(3, requires_grad=True)
optimiser = optimisers.{kind}([parameter])
optimiser.zero_grad()
parameter.sum().backward()
optimiser.step()
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
