"""Where the time of a training step goes, by torch's profiler.

    python benchmarks/breakdown.py --width 8 16 --batch 32 --precision float32 bfloat16

A row for each combination: milliseconds per step, and what share of them each kind of work takes. The networks'
convolutions and the stitches of one pixel of a map count as convolutions; matrix products are all other stitches, the
receiver's linear layers and its attention, forward and backward; the sender is its whole pass, the optimiser a step of
Muon, as in `fast`. What is left, Python, autograd and the profiler itself among it, is the rest. The last line is JSON.
"""

from collections import Counter
from collections.abc import Callable

import torch
from common import Combination, Engine, freeze, measure_combinations, random_batch, significant, timed
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile, record_function

KINDS = {
    "sender_pass": ("sender",),
    "convolutions_forward": ("aten::conv2d", "_Fused", "_Winograd"),
    "convolutions_backward": ("aten::convolution_backward", "_FusedBackward", "_WinogradBackward"),
    "matrix_products": (
        *("aten::linear", "aten::addmm", "aten::mm", "aten::matmul", "aten::bmm", "aten::scaled_dot_product_attention"),
        "aten::_scaled_dot_product_flash_attention_for_cpu_backward",
        "aten::_scaled_dot_product_flash_attention_backward",
        "aten::_scaled_dot_product_efficient_attention_backward",
    ),
    "elementwise": (
        *("aten::add", "aten::add_", "aten::div", "aten::mean", "aten::mul", "aten::relu", "aten::relu_", "aten::sum"),
        *("aten::expand", "aten::threshold_backward", "aten::upsample_nearest2d", "aten::upsample_nearest2d_backward"),
        *("aten::gelu", "aten::gelu_backward", "aten::softmax", "aten::_softmax_backward_data"),
        *("aten::layer_norm", "aten::native_layer_norm_backward"),
    ),
    "copies": ("aten::cat", "aten::clone", "aten::contiguous", "aten::copy_", "aten::reshape", "aten::to"),
    "optimiser": ("optimiser",),
}
KIND_OF = {name: kind for kind, names in KINDS.items() for name in names}


def measure(combination: Combination, device: str, repeats: int) -> dict:
    """A row of the table."""
    frozen = freeze(combination.networks(), combination.dtype, device)
    engine = Engine(frozen, *random_batch(combination.batch, combination.image, device), muon=True)
    sender = engine.pair.sender
    sender.representations = named("sender", sender.representations)
    engine.optimiser.step = named("optimiser", engine.optimiser.step)
    engine.step()  # the first step allocates: it is not counted
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device == "cuda" else [])
    with profile(activities=activities) as profiler:
        seconds = sum(timed(engine.step, device)[0] for _ in range(repeats))
    taken = Counter()
    for event in profiler.events():
        if event.device_type == torch.autograd.DeviceType.CPU:
            own = event.self_device_time_total if device == "cuda" else event.self_cpu_time_total
            taken[kind_of(event)] += own / 1e6 / seconds
    shares = {kind: round(taken[kind], 4) for kind in KINDS}
    row = combination._asdict() | {"milliseconds": significant(1000 * seconds / repeats)} | shares
    return row | {"rest": round(1 - sum(shares.values()), 4)}


def named(name: str, call: Callable) -> Callable:
    """A call that the profiler knows by a name."""

    def wrapped(*arguments):
        with record_function(name):
            return call(*arguments)

    return wrapped


def kind_of(event: FunctionEvent) -> str | None:
    """Kind of the outermost event that has one, of those that an event lies in."""
    kind = None
    while event is not None:
        kind = KIND_OF.get(event.name, kind)
        event = event.cpu_parent
    return kind


if __name__ == "__main__":
    measure_combinations(__doc__, measure)
