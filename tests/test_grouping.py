import pytest

from modelstitch.architectures import Shape, layer_shapes
from modelstitch.grouping import even_parts, group_column


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
        maps = len(group.sender_layers) * (group.images.stop - group.images.start)
        assert maps == 1 or maps * largest <= limit


def test_groups_of_the_paper():
    shapes = layer_shapes("R1112", 64, (3, 32, 32))  # 64 x 32 x 32 float32 fill 256 KiB: 32 of them 8 MiB
    early = group_column(shapes, range(5), 256, 4, 2**23)
    assert len(early) == 5 * 8 and early[0].images == slice(0, 32)
    late = group_column(shapes[-1:], range(5), 256, 4, 2**23)  # 512 x 4 x 4 fill 32 KiB: one batch fills 8 MiB
    assert [group.sender_layers for group in late] == [(0,), (1,), (2,), (3,), (4,)]
    assert len(group_column([Shape(8, 1, 1)], range(5), 256, 4, 2**23)) == 1
