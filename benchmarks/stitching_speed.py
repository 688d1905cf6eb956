"""Time the engine against the loop that everybody writes, and against what the machine can do, in one run.

    python benchmarks/stitching_speed.py --width 8 16 --batch 32 256 --precision float32 bfloat16

The loop trains each stitch alone: sender prefix, stitch, receiver suffix, frozen weights, the whole batch at once, in
float32, and in the engine's precision where that is another. All sides take the same steps on the same images, in turn.
In turn with them, each distinct convolution of the suffix runs alone, on maps as large as the engine's groups, forward
and back to its input, and counts as often as the engine runs it; the peak is that of square matrix products in the same
precision.

A row for each combination: median seconds; rates by counted operations, a multiplication and an addition being two,
whatever algorithm does them; the engine's share of the other two rates, none where the suffix calls no convolution as a
module; and the largest difference of a loss, a weight or a bias between the loop and the engine in float32. The last
line is JSON.
"""

import functools
import statistics
from collections import Counter
from typing import NamedTuple

import torch
from common import (
    Combination,
    Engine,
    freeze,
    fresh_stitches,
    measure_combinations,
    random_batch,
    significant,
    step_operations,
    timed,
)
from loop import Loop
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from modelstitch.networks.fused import FusedConvolution
from modelstitch.networks.winograd import WinogradConvolution
from modelstitch.planning.description_of import described

MATMUL_SIZES = {"cpu": (512, 1024, 2048), "cuda": (2048, 4096, 8192)}


def measure(combination: Combination, device: str, repeats: int) -> dict:
    """A row of the table."""
    networks, batch = combination.networks(), combination.batch
    images, labels = random_batch(batch, combination.image, device)
    frozen = freeze(networks, torch.float32, device)
    alone = Loop(networks, fresh_stitches(frozen, device), device)
    exact = together = Engine(frozen, images, labels)
    alike = alone  # the loop in the engine's precision
    if combination.dtype != torch.float32:
        rounded = freeze(networks, combination.dtype, device)
        together = Engine(rounded, images, labels)
        alike = Loop(networks, fresh_stitches(rounded, device), device, combination.dtype)
        exact.step()
        alike.step(images, labels)
    alone.step(images, labels)  # the first step of each side allocates: it is not counted
    convolutions = Convolutions(together, device)  # takes one step

    loop_seconds, alike_seconds, engine_seconds, convolution_seconds, differences = [], [], [], [], []
    for _ in range(repeats):
        seconds, loop_losses = timed(functools.partial(alone.step, images, labels), device)
        loop_seconds.append(seconds)
        if alike is not alone:
            seconds, _ = timed(functools.partial(alike.step, images, labels), device)
        alike_seconds.append(seconds)
        seconds, losses = timed(together.step, device)
        engine_seconds.append(seconds)
        convolution_seconds.append(convolutions.seconds())
        if exact is not together:
            losses = exact.step()
        differences.append((loop_losses - losses).abs().max().item())
    differences += [
        (one - other).abs().max().item()
        for (_, stitch, _), same in zip(alone.stitches, exact.pair.stitches.values(), strict=True)
        for one, other in zip(stitch.parameters, same.parameters, strict=True)
    ]

    loop, same, engine = map(statistics.median, (loop_seconds, alike_seconds, engine_seconds))
    forward, both = map(statistics.median, zip(*convolution_seconds, strict=True))
    cells = len(alone.stitches)
    flops = batch * step_operations(list(map(described, networks)))
    rate, peak = flops / engine, matmul_rate(combination.dtype, device)
    convolution_rate = per_second(2 * convolutions.flops, both)
    return combination._asdict() | {
        "cells": cells,
        "loop_seconds": significant(loop),
        "loop_in_precision_seconds": significant(same),
        "engine_seconds": significant(engine),
        "ratio": round(loop / engine, 3),
        "ratio_in_precision": round(same / engine, 3),
        "images_cells_per_second": round(batch * cells / engine, 1),
        "gflops": significant(flops / 1e9),
        "convolutions_gflops": significant(2 * convolutions.flops / 1e9),
        "gflops_per_second": significant(rate / 1e9),
        "forward_convolutions_gflops_per_second": per_second(convolutions.flops, forward),
        "convolutions_gflops_per_second": convolution_rate,
        "matmul_gflops_per_second": significant(peak / 1e9),
        "share_of_convolutions": convolution_rate and round(rate / 1e9 / convolution_rate, 3),
        "share_of_matmul": round(rate / peak, 3),
        "max_difference": max(differences),
    }


class Run(NamedTuple):
    """A convolution alone: its maps (N, C, H, W), the gradient of its output, and how often the engine runs it."""

    convolution: nn.Module
    maps: Tensor
    gradient: Tensor
    times: int


class Convolutions:
    """The convolutions of the receiver's suffix, one by one, as often as a step of the engine runs them.

    Attributes:
        flops: of all of them, forward.
    """

    def __init__(self, engine: Engine, device: str) -> None:
        self.device = device
        self.runs = []
        self.flops = 0
        dtype = engine.pair.receiver.dtype
        for (convolution, size), times in count_runs(engine).items():
            if isinstance(convolution, FusedConvolution):
                convolution = direct(convolution)
            maps = torch.randn(size, device=device).to(dtype, memory_format=torch.channels_last).requires_grad_()
            with FlopCounterMode(display=False) as counter:
                gradient = torch.randn_like(direct(convolution)(maps))
            self.runs.append(Run(convolution, maps, gradient, times))
            self.flops += times * counter.get_total_flops()

    def seconds(self) -> tuple[float, float]:
        """Forward, and forward and back to the input."""
        forward = both = 0.0
        for convolution, maps, gradient, times in self.runs:
            there_and_back = functools.partial(back, convolution, maps, gradient)
            there_and_back()  # brings the maps into the caches, where the engine's are
            forward += times * timed(functools.partial(convolution, maps), self.device)[0]
            both += times * timed(there_and_back, self.device)[0]
        return forward, both


def per_second(flops: int, seconds: float) -> float | None:
    """Gflop/s of convolutions; None where there are none."""
    return significant(flops / seconds / 1e9) if flops else None


def count_runs(engine: Engine) -> Counter[tuple[nn.Module, torch.Size]]:
    """How often a step of the engine runs each distinct convolution of the suffix on maps of each size (N, C, H, W)."""
    runs: Counter[tuple[nn.Module, torch.Size]] = Counter()
    alike: dict[tuple, nn.Module] = {}

    def count(convolution: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        maps = inputs[0]
        runs[alike.setdefault(form_of(convolution), convolution), maps.shape] += 1

    hooks = [convolution.register_forward_pre_hook(count) for convolution in convolutions_of(engine)]
    engine.step()
    for hook in hooks:
        hook.remove()
    return runs


def convolutions_of(engine: Engine) -> list[nn.Module]:
    """The receiver's convolutions, as its pieces call them."""
    parts = list(engine.pair.receiver.modules())
    outer = [part for part in parts if isinstance(part, WinogradConvolution | FusedConvolution)]
    within = {direct(part) for part in outer}
    return outer + [part for part in parts if isinstance(part, nn.Conv2d) and part not in within]


def form_of(convolution: nn.Module) -> tuple:
    """What convolutions that take the same time share."""
    layer = direct(convolution)
    return layer.weight.shape, layer.stride, layer.padding, layer.dilation, layer.groups


def direct(convolution: nn.Module) -> nn.Conv2d:
    """The convolution itself of one that may take fewer multiplications, or do more in one call."""
    if isinstance(convolution, FusedConvolution):
        return convolution.convolution
    return convolution.direct if isinstance(convolution, WinogradConvolution) else convolution


def back(convolution: nn.Module, maps: Tensor, gradient: Tensor) -> None:
    torch.autograd.grad(convolution(maps), maps, gradient)


@functools.cache
def matmul_rate(dtype: torch.dtype, device: str) -> float:
    """Operations per second of the fastest of some square matrix products."""
    rates = []
    for size in MATMUL_SIZES[device]:
        one, other = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        rates += [2 * size**3 / timed(functools.partial(torch.mm, one, other), device)[0] for _ in range(6)]
    return max(rates)


if __name__ == "__main__":
    measure_combinations(__doc__, measure)
