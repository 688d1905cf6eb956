"""Files of tensors: what was written is read, and what was damaged is not."""

import json
import struct

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from modelstitch import headers, tensors
from modelstitch.errors import ModelstitchError
from tests.damage import flipped

TENSORS = {
    "weight": torch.randn(16, 3, 3, 3, generator=torch.Generator().manual_seed(0)),
    "half": torch.arange(20, dtype=torch.bfloat16),
    "count": torch.tensor(7),
    "none": torch.zeros(0, 4),
    "mask": torch.tensor([True, False]),
}
TEXTS = {"network": '{"name": "größe"}', "about": "{}"}


@pytest.fixture
def path(tmp_path):
    tensors.write(tmp_path / "a.safetensors", TENSORS, TEXTS)
    return tmp_path / "a.safetensors"


def read(path):
    return tensors.read(path, "network", "make it again")


def test_what_is_written_is_read_by_us_and_by_others(path):
    found, texts = read(path)
    assert found.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        assert found[name].dtype == value.dtype and torch.equal(found[name], value)
    assert TEXTS.items() <= texts.items() and texts["tensors"] == tensors.digest(TENSORS)
    assert headers.read_header(path, "network", "") == texts
    with safe_open(path, framework="pt") as file:
        assert torch.equal(file.get_tensor("weight"), TENSORS["weight"])


def test_the_digest_tells_names_types_shapes_and_bits():
    one = {"a": torch.zeros(4)}
    others = [
        {"b": torch.zeros(4)},
        {"a": torch.zeros(2, 2)},
        {"a": torch.zeros(4, dtype=torch.int32)},
        {"a": torch.tensor([0.0, 0, 0, -0.0])},
    ]
    assert len({tensors.digest(each) for each in (one, *others)}) == 5
    assert tensors.digest(one) == tensors.digest({"a": torch.zeros(8)[::2]})


def test_no_flipped_bit_passes_with_other_values(path):
    """One in the header's filling, or in the spelling of a name, may change nothing: then all is as it was."""
    good = 0
    for _ in flipped(path, 1000):
        try:
            found, texts = read(path)
        except ModelstitchError as error:
            good += str(path) in str(error) and "\n" not in str(error)
        else:
            assert tensors.digest(found) == tensors.digest(TENSORS) and TEXTS.items() <= texts.items()
            good += 1
    assert good == 1000


def test_a_header_alone_is_checked(path):
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    path.write_bytes(content[: 8 + length].replace("größe".encode(), "gräße".encode()) + content[8 + length :])
    with pytest.raises(ModelstitchError, match=r"a\.safetensors: is no network, or a damaged one \(its SHA-256"):
        headers.read_header(path, "network", "make it again")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "its header is not readable"),
        (struct.pack("<Q", 2**62) + b"{}", "its header is not readable"),
        (struct.pack("<Q", 50_000_000) + b"{}", "that modelstitch saved"),
        (struct.pack("<Q", 200_000) + b"[" * 200_000, "its header is not readable"),
        (struct.pack("<Q", 4) + b"[[]]", "its header is not readable"),
        (struct.pack("<Q", 21) + b'{"__metadata__": [1]}', "that modelstitch saved"),
        (struct.pack("<Q", 24) + b'{"__metadata__": "text"}', "that modelstitch saved"),
    ],
)
def test_what_is_no_header_is_told_in_one_line(tmp_path, content, told):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    for reader in (read, lambda path: headers.read_header(path, "network", "make it again")):
        with pytest.raises(
            ModelstitchError, match=rf"a\.safetensors: is no network.*{told}.*: make it again"
        ) as caught:
            reader(path)
        assert "\n" not in str(caught.value)


def test_sizes_beyond_the_file_are_good(tmp_path):
    """With a header that is whole: safetensors itself holds sizes against the file."""
    texts = {"tensors": "0"}
    texts["digest"] = headers.digest_of_header(texts)
    tensor = {"dtype": "F32", "shape": [10**15], "data_offsets": [0, 4 * 10**15]}
    header = json.dumps({"__metadata__": texts, "a": tensor}).encode()
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    with pytest.raises(ModelstitchError, match=r"a\.safetensors: is no network, or a damaged one"):
        read(tmp_path / "a.safetensors")


def test_files_of_others_folders_and_missing_ones_are_told_apart(tmp_path):
    save_file({"a": torch.zeros(3)}, tmp_path / "mine.safetensors", metadata={"format": "pt"})
    for name, told in (("mine.safetensors", "is no network that modelstitch saved"), ("none", "no such file")):
        with pytest.raises(ModelstitchError, match=told):
            read(tmp_path / name)
    with pytest.raises(ModelstitchError, match="is no network: is a folder"):
        read(tmp_path)
