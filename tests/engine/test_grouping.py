import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from modelstitch.engine.frozen import FrozenNetwork
from modelstitch.engine.grouping import CPU_MAP_BYTES, GPU_MAP_BYTES, even_parts, group_bytes, group_column, map_limit
from modelstitch.engine.stitching import StitchedPair, Tally, take_step
from modelstitch.fitting.optimisers import SGD
from modelstitch.networks.architectures import Shape, layer_shapes
from modelstitch.networks.small_resnet import build
from modelstitch.stitches.linear import geometries, initialise, parameters


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


@pytest.mark.parametrize("limit", [1, 5_000, 40_000, 300_000, 2**23, 2**40])
@pytest.mark.parametrize("batch", [1, 29, 256])
def test_groups_cover_every_cell_and_image_once_within_the_limit(limit, batch):
    shapes = layer_shapes("R1212", 4, (3, 17, 12))
    largest = 4 * max(shape.channels * shape.height * shape.width for shape in shapes[2:])
    groups = group_column(shapes[2:], [0, 2, 3, 5], batch, 4, limit)
    seen = [(i, image) for group in groups for i in group.sender_layers for image in range(batch)[group.images]]
    assert sorted(seen) == [(i, image) for i in (0, 2, 3, 5) for image in range(batch)]
    for group in groups:
        assert group.map_bytes == group.maps * largest
        assert group.maps == 1 or group.map_bytes <= limit


def test_groups_of_the_paper():
    shapes = layer_shapes("R1112", 64, (3, 32, 32))  # 64 x 32 x 32 float32 fill 256 KiB: 32 of them 8 MiB
    early = group_column(shapes, range(5), 256, 4, 2**23)
    assert len(early) == 5 * 8 and early[0].images == slice(0, 32)
    late = group_column(shapes[-1:], range(5), 256, 4, 2**23)  # 512 x 4 x 4 fill 32 KiB: one batch fills 8 MiB
    assert [group.sender_layers for group in late] == [(0,), (1,), (2,), (3,), (4,)]
    assert len(group_column([Shape(8, 1, 1)], range(5), 256, 4, 2**23)) == 1


def test_a_processor_fills_its_caches_and_a_gpu_what_its_memory_allows():
    suffixes = [layer_shapes("R1112", 64, (3, 32, 32))[j:] for j in range(6)]
    assert map_limit(None, suffixes, 2**40) == CPU_MAP_BYTES == 2**23
    assert map_limit(80 * 2**30, suffixes, 2**28) == GPU_MAP_BYTES == 2**28
    limits = [map_limit(free, suffixes, 2**28) for free in range(0, 8 * 2**30, 2**27)]
    assert limits == sorted(limits) and limits[0] == 1 and limits[-1] == GPU_MAP_BYTES
    assert len(set(limits)) > 4
    for free, limit in zip(range(0, 8 * 2**30, 2**27), limits, strict=True):
        needs = [2 * 2**28 + max(group_bytes(shapes, factor * limit) for shapes in suffixes) for factor in (1, 2)]
        assert limit == 1 or needs[0] <= free / 2
        assert limit == GPU_MAP_BYTES or needs[1] > free / 2


@pytest.mark.parametrize(("architecture", "gib"), [("R1112", 2.5), ("R2222", 3.375), ("R9999", 9.9375)])
def test_what_a_group_of_a_gpu_takes_does_not_depend_on_the_width(architecture, gib):
    for width in (16, 64):
        shapes = layer_shapes(architecture, width, (3, 32, 32))
        assert max(group_bytes(shapes[j:], GPU_MAP_BYTES) for j in range(len(shapes))) == gib * 2**30


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("receiver_layers", [[-1], [0], [1], [4], [6], [-1, 0, 2, 6]])
@pytest.mark.parametrize("sender_layers", [[0], [5], range(6)])
def test_a_step_holds_no_more_than_is_stated(dtype, receiver_layers, sender_layers):
    image, batch = (3, 32, 32), 64
    sender, receiver = (FrozenNetwork(build(name, 8, 3, 10, 0).eval(), dtype) for name in ("R1112", "R1212"))
    sources, targets = (network.shapes(image) for network in (sender, receiver))
    cells = geometries(sources, targets, sender_layers, receiver_layers)
    pair = StitchedPair(sender, receiver, {cell: initialise(geometry, 0) for cell, geometry in cells.items()})
    moved = parameters(pair.stitches.values())
    optimiser = SGD(moved, momentum=0.9)
    images, labels = torch.rand(batch, *image).to(dtype, memory_format=torch.channels_last), torch.zeros(batch).long()
    with Memory() as memory:
        take_step(pair, optimiser, images, labels, Tally(list(pair.stitches), "cpu"))
    suffixes = pair.suffix_shapes(images)
    groups = [
        group_bytes(suffixes[j], max(group.map_bytes for group in group_column(suffixes[j], rows, batch, *size)))
        for size in [(images.element_size(), pair.largest_map)]
        for j, rows in pair.columns.items()
    ]
    represented = sum(maps.nbytes for maps in sender.representations(images, max(sender_layers)).values())
    stitches = 4 * sum(tensor.nbytes for tensor in moved)  # gradient, momentum, copies in another precision
    stated = 2 * represented + max(groups) + stitches
    assert 0.4 * stated < memory.peak <= stated
