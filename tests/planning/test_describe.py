"""Networks described in a process of their own, and what is kept of that."""

import json
import os
import shutil

import pytest

from modelstitch.config.networks import Architecture
from modelstitch.data.datasets import Sizes
from modelstitch.errors import ModelstitchError
from modelstitch.networks.description import Description
from modelstitch.planning import describe
from modelstitch.planning.describe import describe_all
from modelstitch.planning.description_of import described
from tests.planning.plans import describe as as_torch_finds_it
from tests.settings import architecture, small_resnet

SIZES = Sizes((3, 16, 16), 500, 100, 10)
PLACE = "study.yaml: networks.architectures[{}]"
NET = """
from torch import nn


class Net(nn.Sequential):
    def __init__(self, channels, classes, width=4):
        super().__init__(nn.Conv2d(channels, width, 3), nn.ReLU(), nn.Conv2d(width, width, 3), nn.Flatten(),
                         nn.Linear(width * 12 * 12, classes))
"""


def placed(*architectures):
    return {PLACE.format(index): one for index, one in enumerate(architectures)}


def refusal(architectures, folder, sizes=SIZES):
    with pytest.raises(ModelstitchError) as caught:
        describe_all(architectures, sizes, folder, "code")
    return str(caught.value).splitlines()


@pytest.fixture
def no_process(monkeypatch):
    """Whatever starts a process fails."""

    def forbid(*arguments, **keywords):
        raise AssertionError("a process was started")

    monkeypatch.setattr(describe.subprocess, "run", forbid)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder in which two architectures are described."""
    folder = tmp_path_factory.mktemp("kept")
    describe_all(placed(architecture("R1111"), architecture("R1112")), SIZES, folder, "code")
    return folder


def test_networks_are_described_as_torch_finds_them(kept, no_process):
    """They are kept in the folder, one file each, and read again without starting a process."""
    both = placed(architecture("R1112"), architecture("R1111"))
    found = describe_all(both, SIZES, kept, "code")
    assert list(found) == ["R1112", "R1111"]
    for name, description in found.items():
        assert description == as_torch_finds_it(architecture(name), SIZES.image, SIZES.classes)
    assert len(list(kept.iterdir())) == 2


def test_what_a_description_does_not_depend_on_starts_no_process(kept, no_process):
    for changes in ({"training": None}, {"seeds": (4,)}):
        describe_all(placed(architecture("R1111", **changes)), SIZES, kept, "code")
    more_images = SIZES._replace(train_images=50_000, test_images=3)
    describe_all(placed(architecture("R1111")), more_images, kept, "code")


@pytest.mark.parametrize(
    ("changes", "sizes", "code"),
    [
        ({"layers": ("layers.0", "layers.2")}, SIZES, "code"),
        ({"image_size": 32}, SIZES, "code"),
        ({"mean": (0.5,), "std": (2.0,)}, SIZES, "code"),
        ({"arguments": {"width": 8}}, SIZES, "code"),
        ({}, SIZES._replace(image=(1, 16, 16)), "code"),
        ({}, SIZES._replace(classes=11), "code"),
        ({}, SIZES, "other code"),
    ],
)
def test_what_a_description_depends_on_starts_one(kept, no_process, changes, sizes, code):
    with pytest.raises(AssertionError, match="a process was started"):
        describe_all(placed(architecture("R1111", **changes)), sizes, kept, code)


def test_only_what_is_missing_is_described_and_each_as_it_is_named(kept, tmp_path, monkeypatch):
    asked, run = [], describe.subprocess.run

    def noted(*arguments, **keywords):
        asked.append(list(json.loads(keywords["input"])))
        return run(*arguments, **keywords)

    monkeypatch.setattr(describe.subprocess, "run", noted)
    named = architecture("R1111", name="named", layers=("layers.2", "layers.0"), image_size=(8, 24))
    folder = shutil.copytree(kept, tmp_path / "kept")
    found = describe_all(placed(architecture("R1111"), named), SIZES, folder, "code")
    assert asked == [[PLACE.format(1)]]
    assert found["R1111"].names == tuple(f"layers.{index}" for index in range(5))
    assert found["named"].names == ("layers.0", "layers.2")
    assert found["named"].image == (3, 8, 24)
    assert [layer.grid for layer in found["named"].layers] == [(8, 24), (4, 12)]


def test_logits_are_of_the_classes_that_weights_have(tmp_path):
    with_weights = {"weights": "w.pt", "mean": (0.5,), "std": (0.5,), "classes": tuple("abc")}
    found = describe_all(placed(architecture("R1111", **with_weights)), SIZES, tmp_path, "code")["R1111"]
    assert found == as_torch_finds_it(architecture("R1111"), SIZES.image, 3)


def test_a_damaged_description_is_made_again(kept, tmp_path):
    folder = shutil.copytree(kept, tmp_path / "kept")
    texts = {file: file.read_text() for file in folder.iterdir()}
    for file, text in texts.items():
        file.write_text(text[:50])
    describe_all(placed(architecture("R1111"), architecture("R1112")), SIZES, folder, "code")
    assert {file: file.read_text() for file in folder.iterdir()} == texts


def test_an_unknown_model_is_told_by_its_place_in_the_file(tmp_path):
    lines = refusal(placed(architecture("R1111"), Architecture(model="torchvision:vgg11_b")), tmp_path)
    assert lines == [f"{PLACE.format(1)}: torchvision has no classification model 'vgg11_b' (did you mean 'vgg11_bn'?)"]


def test_every_network_that_can_not_be_built_or_cut_is_told(tmp_path):
    lines = refusal(
        placed(
            Architecture(model=f"{tmp_path}/missing.py:Net"),
            architecture("R1111"),
            architecture("R1111", layers=("layers.9",)),
            architecture("R1111", arguments={"widht": 4}),
        ),
        tmp_path / "kept",
    )
    assert [line.split(": ")[1] for line in lines] == [f"networks.architectures[{index}]" for index in (0, 2, 3)]
    assert "missing.py: no such file" in lines[0] and "'layers.9'" in lines[1] and "widht" in lines[2]


def test_a_process_that_fails_is_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(describe.sys, "executable", "/bin/false")
    (line,) = refusal(placed(architecture("R1111")), tmp_path)
    assert line.startswith("the networks can't be described: ")


def test_a_folder_that_can_not_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    found = describe_all(placed(architecture("R1111")), SIZES, tmp_path / "file/below", "code")
    assert found["R1111"].total_operations > 0
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_of_ones_own_is_described_anew_when_it_changes(tmp_path):
    (tmp_path / "nets.py").write_text(NET)
    own = placed(Architecture(model=f"{tmp_path}/nets.py:Net"))
    first = describe_all(own, SIZES, tmp_path / "kept", "code")["Net"]
    assert [layer.shape for layer in first.layers] == [(4, 14, 14), (4, 12, 12)]
    (tmp_path / "nets.py").write_text(NET.replace("width=4", "width=6"))
    second = describe_all(own, SIZES, tmp_path / "kept", "code")["Net"]
    assert [layer.shape for layer in second.layers] == [(6, 14, 14), (6, 12, 12)]
    assert len(list((tmp_path / "kept").iterdir())) == 2


def test_a_description_comes_back_from_plain_values():
    description = described(small_resnet("R1112"))
    plain = json.loads(json.dumps(description.as_json()))
    assert Description.from_json(plain) == description
    assert Description.from_json(plain).shapes == description.shapes


def test_a_description_tells_the_parts_of_a_pass():
    network = small_resnet("R1112", channels=3, size=(16, 24))
    description = described(network)
    state = network.module.state_dict()
    assert description.image == (3, 16, 24) and description.shapes[-1].shape == (3, 16, 24)
    assert description.names == tuple(f"layers.{index}" for index in range(6))
    assert (description.parameters, description.tensors) == (sum(one.numel() for one in state.values()), len(state))
    counts = (description.operations, description.largest, description.kept)
    assert {len(one) for one in counts} == {7}
    for layer in range(-1, 6):
        parts = description.prefix_operations(layer), description.suffix_operations(layer)
        assert sum(parts) == description.total_operations == sum(description.operations)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"mean": (0.5, 0.5), "std": (1.0, 1.0)}, "vgg11_bn: mean has 2 numbers: expected 1 or 3"),
        ({"arguments": {"num_classes": 5}}, "vgg11_bn gives 5 logits: expected 10, one per class"),
    ],
)
def test_what_would_fail_in_training_is_told_when_it_is_planned(tmp_path, changes, expected):
    sizes = SIZES._replace(image=(3, 32, 32))
    lines = refusal(placed(Architecture(model="torchvision:vgg11_bn", **changes)), tmp_path, sizes)
    assert lines == [f"{PLACE.format(0)}: {expected}"]


def test_a_network_with_its_librarys_weights_is_described_for_the_librarys_images(tmp_path):
    own, published = (Architecture(model="torchvision:squeezenet1_1", weights=weights) for weights in (None, "library"))
    sizes = SIZES._replace(image=(3, 64, 64))
    small, large = (describe_all(placed(one), sizes, tmp_path, "code")["squeezenet1_1"] for one in (own, published))
    assert large.layers[0].height > 3 * small.layers[0].height
