import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torchvision.models import VisionTransformer

from modelstitch.engine.evaluation import Tally
from modelstitch.engine.grouping import (
    CPU_BYTES,
    GPU_BYTES,
    Suffix,
    even_parts,
    group_bytes,
    group_column,
    limit_of,
)
from modelstitch.engine.pair import StitchedPair
from modelstitch.engine.profile import kept_numbers
from modelstitch.fitting.beginning import trainable
from modelstitch.fitting.training import take_step
from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.networks.network import Network
from modelstitch.optimisers import SGD
from modelstitch.stitches.families.linear import initialise
from modelstitch.stitches.geometry import geometries
from tests.settings import small_resnet


class Memory(TorchDispatchMode):
    """Counts the bytes of all tensors that are made and not yet gone, and the most there were at a time."""

    def __init__(self):
        super().__init__()
        self.alive, self.bytes, self.peak = set(), 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        before = {leaf.untyped_storage()._cdata for leaf in tree_leaves((args, kwargs)) if torch.is_tensor(leaf)}
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            storage = tensor.untyped_storage() if torch.is_tensor(tensor) else None
            if storage is not None and storage._cdata not in before | self.alive:
                self.alive.add(storage._cdata)
                self.bytes += storage.nbytes()
                weakref.finalize(storage, self.gone, storage._cdata, storage.nbytes())
        self.peak = max(self.peak, self.bytes)
        return result

    def gone(self, key, size):
        self.alive.discard(key)
        self.bytes -= size


@pytest.mark.parametrize("count", [1, 2, 7, 64, 101])
@pytest.mark.parametrize("most", [1, 3, 7, 64, 1000])
def test_even_parts_cover_everything_once_and_differ_by_one_at_most(count, most):
    parts = even_parts(count, most)
    assert [index for part in parts for index in range(count)[part]] == list(range(count))
    sizes = [part.stop - part.start for part in parts]
    assert max(sizes) <= most and max(sizes) - min(sizes) <= 1
    assert len(parts) == -(-count // most)


def suffixes(architecture, width):
    """What every suffix of a Small ResNet holds, the whole network's first."""
    network = FrozenNetwork(small_resnet(architecture, width, 3))
    kept = kept_numbers(network)
    return [Suffix(network.shapes[j].size, max(network.largest[j + 1 :]), sum(kept[j + 1 :])) for j in network.shapes]


@pytest.mark.parametrize("limit", [1, 5_000, 40_000, 300_000, 2**23, 2**40])
@pytest.mark.parametrize("batch", [1, 29, 256])
@pytest.mark.parametrize("largest", [32, 4 * 17 * 12])
def test_groups_cover_every_cell_and_image_once_within_the_limit(limit, batch, largest):
    groups = group_column(largest, [0, 2, 3, 5], batch, 4, limit)
    seen = [(i, image) for group in groups for i in group.sender_layers for image in range(batch)[group.images]]
    assert sorted(seen) == [(i, image) for i in (0, 2, 3, 5) for image in range(batch)]
    for group in groups:
        assert group.largest_bytes == group.size * 4 * largest
        assert group.size == 1 or group.largest_bytes <= limit


def test_groups_of_the_paper():
    early = group_column(64 * 32 * 32, range(5), 256, 4, 2**23)  # float32: 256 KiB each, 32 of them 8 MiB
    assert len(early) == 5 * 8 and early[0].images == slice(0, 32)
    late = group_column(512 * 4 * 4, range(5), 256, 4, 2**23)  # 32 KiB each: one batch fills 8 MiB
    assert [group.sender_layers for group in late] == [(0,), (1,), (2,), (3,), (4,)]
    assert len(group_column(8, range(5), 256, 4, 2**23)) == 1


def test_a_processor_fills_its_caches_and_a_gpu_what_its_memory_allows():
    held = suffixes("R1112", 64)
    assert limit_of(None, held, 2**40) == CPU_BYTES == 2**23
    assert limit_of(80 * 2**30, held, 2**28) == GPU_BYTES == 2**28
    limits = [limit_of(free, held, 2**28) for free in range(0, 8 * 2**30, 2**27)]
    assert limits == sorted(limits) and limits[0] == 1 and limits[-1] == GPU_BYTES
    assert len(set(limits)) > 4
    for free, limit in zip(range(0, 8 * 2**30, 2**27), limits, strict=True):
        needs = [2 * 2**28 + max(group_bytes(suffix, factor * limit) for suffix in held) for factor in (1, 2)]
        assert limit == 1 or needs[0] <= free / 2
        assert limit == GPU_BYTES or needs[1] > free / 2


@pytest.mark.parametrize("architecture", ["R1112", "R2222"])
def test_what_a_group_of_a_gpu_takes_does_not_depend_on_the_width(architecture):
    narrow, wide = (max(group_bytes(each, GPU_BYTES) for each in suffixes(architecture, width)) for width in (16, 64))
    assert narrow == pytest.approx(wide, rel=0.05) and 2**30 < wide < 5 * 2**30


def transformer():
    """A small vision transformer of torchvision, for images of 32 pixels."""
    torch.manual_seed(0)
    module = VisionTransformer(32, 8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=48, num_classes=10)
    return Network(module.eval(), image=(3, 32, 32))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("receiver_layers", [[-1], [0], [1], [4], [6], [-1, 0, 2, 6]])
@pytest.mark.parametrize("sender_layers", [[0], [5], range(6)])
def test_a_step_holds_no_more_than_is_stated(dtype, receiver_layers, sender_layers):
    assert_holds(small_resnet("R1112", 8, 3), small_resnet("R1212", 8, 3), dtype, sender_layers, receiver_layers)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("receiver_layers", [[-1], [0], [1], [-1, 0, 1]])
def test_a_step_through_a_transformer_holds_no_more_than_is_stated(dtype, receiver_layers):
    assert_holds(transformer(), transformer(), dtype, range(2), receiver_layers)


def assert_holds(sender, receiver, dtype, sender_layers, receiver_layers):
    """That one step of a pair holds what is stated of it, and more than 0.4 of it."""
    batch = 64
    sender, receiver = (FrozenNetwork(network, dtype) for network in (sender, receiver))
    cells = geometries(sender.shapes, receiver.shapes, sender_layers, receiver_layers)
    stitches = {cell: trainable(initialise(geometry, 0), "cpu") for cell, geometry in cells.items()}
    pair = StitchedPair(sender, receiver, stitches)
    moved = [tensor for stitch in stitches.values() for tensor in stitch.parameters]
    optimiser = SGD(moved, momentum=0.9)
    images, labels = torch.rand(batch, 3, 32, 32), torch.zeros(batch).long()
    with Memory() as memory:
        take_step(pair, optimiser, images, labels, Tally(list(pair.stitches), "cpu"))
    groups = [
        group_bytes(suffix, max(group.largest_bytes for group in groups))
        for j, suffix in pair.suffixes.items()
        for groups in [group_column(suffix.largest, pair.columns[j], batch, dtype.itemsize, pair.limit)]
    ]
    represented = sum(values.nbytes for values in sender.representations(images, max(sender_layers)).values())
    stitches = 4 * sum(tensor.nbytes for tensor in moved)  # gradient, momentum, copies in another precision
    stated = 2 * represented + max(groups) + stitches
    assert 0.4 * stated < memory.peak <= stated
