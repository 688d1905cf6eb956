"""Weights of strangers: files as people have them."""

import numpy as np
import pytest
import torch
import torchvision.models
from safetensors.torch import save_file
from torch import nn

from modelstitch.config.networks import Architecture
from modelstitch.data.datasets import Dataset, Split
from modelstitch.errors import ModelstitchError
from modelstitch.identifiers import NetworkId
from modelstitch.networks import making, pretrained, weights
from modelstitch.networks.network import Network
from tests.networks.modules import Plain, made
from tests.settings import architecture


class Payload:
    """What a pickle may run: here, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


KINDS = {
    "safetensors": lambda state, path: save_file(state, path),
    "state dict": lambda state, path: torch.save(state, path),
    "before zip files": lambda state, path: torch.save(state, path, _use_new_zipfile_serialization=False),
    "checkpoint": lambda state, path: torch.save({"epoch": 3, "state_dict": state, "best": 0.9}, path),
    "checkpoint of a model": lambda state, path: torch.save({"model": state, "args": {"lr": 0.1}}, path),
    "data parallel": lambda state, path: torch.save({f"module.{name}": value for name, value in state.items()}, path),
    "without counts": lambda state, path: torch.save(
        {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}, path
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_read_however_they_were_saved(tmp_path, kind):
    path = tmp_path / ("weights.safetensors" if kind == "safetensors" else "weights.pt")
    given, module = made("plain"), Plain().eval()
    KINDS[kind](given.state_dict(), path)
    pretrained.load_weights(module, path)
    images = torch.rand(3, 1, 32, 32)
    assert torch.equal(module(images), given(images))


def test_a_strangers_pickle_is_not_opened(tmp_path):
    state = Plain().state_dict() | {"gift": Payload(str(tmp_path / "made"))}
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(
        ModelstitchError, match=r"weights\.pt: holds more than tensors.*torch\.save\(module\.state_dict"
    ):
        pretrained.read_weights(tmp_path / "weights.pt")
    torch.save(Plain(), tmp_path / "module.pt")
    with pytest.raises(ModelstitchError, match=r"module\.pt: holds more than tensors"):
        pretrained.read_weights(tmp_path / "module.pt")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("content", [None, b"", b"a text, not weights", bytes(range(256)) * 9])
@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_a_file_that_holds_no_weights_is_refused_by_name(tmp_path, name, content):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelstitchError) as error:
        pretrained.read_weights(path)
    assert str(error.value).startswith(f"{path}: ") and "delete" not in str(error.value)
    assert ("no such file" in str(error.value)) == (content is None)


@pytest.mark.parametrize("held", [{"epoch": 3}, [torch.zeros(3)], {}])
def test_what_is_no_state_dict_is_refused(tmp_path, held):
    torch.save(held, tmp_path / "weights.pt")
    with pytest.raises(ModelstitchError, match="expected a state dict"):
        pretrained.read_weights(tmp_path / "weights.pt")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda state: state.pop("fc1.weight"), r"lacks: fc1\.weight: these weights are of another network"),
        (lambda state: state.update(extra=torch.zeros(1)), "has what the network lacks: extra"),
        (lambda state: state.update({"fc2.bias": torch.zeros(7)}), r"fc2\.bias is \(7,\), expected \(10,\)"),
        (lambda state: [state.pop(name) for name in list(state)[:9]], r"lacks: .* and \d+ more: these weights"),
    ],
)
def test_weights_of_another_network_are_refused_by_the_parameter(tmp_path, change, expected):
    state, module = Plain().state_dict(), Plain()
    change(state)
    torch.save(state, tmp_path / "weights.pt")
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(ModelstitchError, match=expected):
        pretrained.load_weights(module, tmp_path / "weights.pt")
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


DIGITS = tuple("0123456789")


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (None, "its classes are not known"),
        (DIGITS[::-1], "class 0 is '9', of the data set '0': the same classes in another order"),
        (("cat", "dog"), r"its 2 classes \(cat, ...\) are not the 10 of the data set \(0, ...\)"),
    ],
)
def test_other_classes_or_another_order_are_refused(classes, expected):
    with pytest.raises(ModelstitchError, match=f"^net: {expected}"):
        pretrained.check_classes(classes, DIGITS, "net")
    pretrained.check_classes(list(DIGITS), DIGITS, "net")


def imported(dataset, path, **changes):
    """The network of a file of weights, as a study takes it over."""
    own = architecture(
        "R1111",
        weights=str(path),
        **{"mean": (0.25,), "std": (0.5,), "classes": tuple(dataset.classes), "training": None} | changes,
    )
    return making.from_elsewhere(NetworkId("R1111", "pretrained", 7), own, dataset)


def test_a_network_from_elsewhere_is_what_its_file_says_and_is_measured_on_the_test_set(digits, trained, tmp_path):
    torch.save(trained.module.state_dict(), tmp_path / "R1111_7.pt")
    mean, std = trained.mean, trained.std
    network = imported(digits, tmp_path / "R1111_{seed}.pt", mean=mean, std=std)
    assert network.about["accuracy"] == trained.about["accuracy"]
    assert (network.name, network.about["recipe"]) == ("R1111_pretrained_s7", "pretrained")
    weights.save(tmp_path / "network.safetensors", network)
    images = torch.rand(3, 1, 32, 32)
    torch.testing.assert_close(Network.load(tmp_path / "network.safetensors").logits(images), trained.logits(images))
    otherwise = imported(digits, tmp_path / "R1111_{seed}.pt")
    assert otherwise.mean == (0.25,) and otherwise.about["accuracy"] != network.about["accuracy"]


def test_weights_for_other_classes_are_refused_before_anything_is_made(digits, trained, tmp_path):
    torch.save(trained.module.state_dict(), tmp_path / "weights.pt")
    with pytest.raises(ModelstitchError, match="R1111_pretrained_s7: class 0 is '9'"):
        imported(digits, tmp_path / "weights.pt", classes=tuple(digits.classes[::-1]))


def test_weights_of_another_kind_of_network_are_refused_by_what_they_lack(digits, tmp_path):
    torch.save(nn.Linear(3, 2).state_dict(), tmp_path / "weights.pt")
    with pytest.raises(ModelstitchError, match=r"weights\.pt: lacks: layers\.0\.conv\.weight"):
        imported(digits, tmp_path / "weights.pt")


@pytest.mark.parametrize("model", ["googlenet", "inception_v3", "squeezenet1_1"])
def test_a_librarys_network_is_the_same_when_it_is_read_again(tmp_path, monkeypatch, model):
    """Torch's cache holds random weights in the place of the published ones."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    published = torchvision.models.get_model_weights(model)["DEFAULT"]
    place = tmp_path / "hub/checkpoints" / published.url.rpartition("/")[2]
    place.parent.mkdir(parents=True)
    known = {} if model == "squeezenet1_1" else {"aux_logits": True, "init_weights": True}
    torch.save(torchvision.models.get_model(model, **known).state_dict(), place)
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 96, 96), dtype=np.uint8)
    split = Split(images, np.arange(4))
    classes = tuple(published.meta["categories"])
    dataset = Dataset("few", split, split, classes, *np.float32([[0.5] * 3, [0.25] * 3]), "digest")
    own = Architecture(model=f"torchvision:{model}", weights="library", image_size=96)
    network = making.from_elsewhere(NetworkId(model, "pretrained", 0), own, dataset)
    weights.save(tmp_path / "network.safetensors", network)
    again = weights.load(tmp_path / "network.safetensors")
    values = torch.rand(2, 3, 96, 96)
    torch.testing.assert_close(again.logits(values), network.logits(values))
    expected = torchvision.models.get_model(model, weights=published).eval()
    torch.testing.assert_close(network.logits(values), expected(network.prepared(values)))
