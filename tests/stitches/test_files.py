"""Files of stitches name what they hold."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from modelstitch.errors import ModelstitchError
from modelstitch.networks.representations import Representation
from modelstitch.stitches import files
from modelstitch.stitches.families import on_device
from modelstitch.stitches.families.linear import initialise
from modelstitch.stitches.geometry import geometries

SHAPES = dict(
    enumerate([Representation(3, 8, 8), Representation(4, 4, 4, "tokens", 1), Representation(5, layout="vector")], -1)
)


def stitches_between(sender_layers, receiver_layers):
    cells = geometries(SHAPES, SHAPES, sender_layers, receiver_layers)
    return {cell: initialise(geometry, seed=index) for index, (cell, geometry) in enumerate(cells.items())}


ABOUT = dict.fromkeys(files.PAIR, "x") | {"objective": "task", "sender": "a_trained_s0", "receiver": "b_trained_s0"}


def assert_same(found, expected):
    assert sorted(found) == sorted(expected)
    for cell, stitch in expected.items():
        assert found[cell].geometry == stitch.geometry
        values = torch.randn(2, *stitch.geometry.source.shape)
        assert torch.equal(found[cell](values), stitch(values))


def test_stitches_are_read_back_without_a_guess(tmp_path):
    stitches = stitches_between([-1, 0, 1], [-1, 0, 1])
    files.write(tmp_path / "stitches.safetensors", stitches, "linear", ABOUT)
    assert_same(files.read(tmp_path / "stitches.safetensors"), stitches)


def test_the_header_names_family_and_geometry_of_every_cell(tmp_path):
    files.write(tmp_path / "stitches.safetensors", stitches_between([-1], [0]), "linear", ABOUT)
    with safe_open(tmp_path / "stitches.safetensors", framework="pt") as file:
        header = json.loads(file.metadata()["stitches"])
        names = set(file.keys())
    assert header["-1.0"]["family"] == "linear" and header["-1.0"]["geometry"]["target"]["extra"] == 1
    assert names == {f"-1.0.{name}" for name in ("weight", "bias", "extra.weight", "extra.bias")}


def test_blocks_are_joined(tmp_path):
    whole = stitches_between([-1, 0], [-1, 0, 1])
    blocks = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for path, columns in zip(blocks, ([-1, 0], [1]), strict=True):
        files.write(path, {cell: stitch for cell, stitch in whole.items() if cell[1] in columns}, "linear", ABOUT)
    files.join(blocks, tmp_path / "joined.safetensors")
    assert_same(files.read(tmp_path / "joined.safetensors"), whole)


@pytest.mark.parametrize("name", ["objective", "sender", "receiver", "sender_digest", "dataset_digest", "seed"])
def test_stitches_of_another_pair_are_refused(tmp_path, name):
    path, stitches = tmp_path / "stitches.safetensors", stitches_between([0], [1])
    files.write(path, stitches, "linear", {**ABOUT, "threads": 3})
    assert_same(files.read(path, ABOUT), stitches)
    files.write(path, stitches, "linear", {**ABOUT, name: "another"})
    with pytest.raises(
        ModelstitchError, match=rf"stitches\.safetensors: pair\.{name}: 'another': expected '"
    ) as caught:
        files.read(path, ABOUT)
    assert "\n" not in str(caught.value)
    files.write(tmp_path / "block.safetensors", stitches, "linear", ABOUT)
    with pytest.raises(ModelstitchError, match=r"stitches\.safetensors: pair: .*'another'.*: expected .*as in .*block"):
        files.join([tmp_path / "block.safetensors", path], tmp_path / "joined.safetensors")
    assert not (tmp_path / "joined.safetensors").exists()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("cut", "is no file of stitches, or a damaged one"),
        ("missing", "no such file: expected a file of stitches"),
        ("no header", "is no file of stitches that modelstitch saved"),
        ("another family", r"stitches\.0\.0: is no stitch"),
        ("a tensor less", "is no file of stitches, or a damaged one"),
    ],
)
def test_a_file_of_another_kind_is_refused_by_name(tmp_path, damage, told):
    path, stitches = tmp_path / "stitches.safetensors", stitches_between([0], [0])
    files.write(path, stitches, "pseudolinear" if damage == "another family" else "linear", ABOUT)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    elif damage == "missing":
        path.unlink()
    elif damage == "no header":
        save_file({"0.0.weight": torch.zeros(3)}, path)
    elif damage == "a tensor less":
        with safe_open(path, framework="pt") as file:
            metadata, kept = file.metadata(), {"0.0.weight": file.get_tensor("0.0.weight")}
        save_file(kept, path, metadata=metadata)
    with pytest.raises(ModelstitchError, match=rf"stitches\.safetensors: {told}"):
        files.read(path)


def test_stitches_are_moved_to_a_device_and_stay_what_they_are():
    stitches = stitches_between([-1, 1], [0])
    moved = on_device(stitches, "meta")
    assert moved.keys() == stitches.keys()
    for cell, stitch in moved.items():
        assert stitch.geometry == stitches[cell].geometry
        assert {each.device.type for each in stitch.parameters} == {"meta"}
    assert_same(on_device(stitches, "cpu"), stitches)
