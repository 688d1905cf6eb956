import copy
import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from modelstitch import tensors
from modelstitch.analysis.networks import networks
from modelstitch.errors import ModelstitchError
from modelstitch.networks import about, weights
from modelstitch.networks.network import Network
from tests.damage import flipped
from tests.networks.modules import Mixer

HUGE = {"model": "R1111", "outputs": 10**15, "arguments": {"width": 4}}


def test_a_loaded_network_computes_what_the_saved_one_did(trained, tmp_path):
    weights.save(tmp_path / "network.safetensors", trained)
    loaded = Network.load(tmp_path / "network.safetensors")
    state = loaded.module.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in trained.module.state_dict().items())
    images = torch.rand(5, 1, 32, 32)
    torch.testing.assert_close(loaded.logits(images), trained.logits(images))
    for name in ("name", "image", "classes", "about", "blueprint"):
        assert json.dumps(getattr(loaded, name), default=vars) == json.dumps(getattr(trained, name), default=vars)
    assert not loaded.module.training


@pytest.mark.parametrize("damage", ["cut", "empty", "missing", "other tensors", "other file", "a tensor less"])
def test_a_damaged_file_is_refused_by_name(trained, tmp_path, damage):
    path = tmp_path / "network.safetensors"
    if damage != "missing":
        weights.save(path, trained)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "other tensors":
        save_file({"weight": torch.zeros(3)}, path)
    elif damage == "a tensor less":
        with safe_open(path, "pt") as file:
            tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
        del tensors["head.bias"]
        save_file(tensors, path, metadata=metadata)
    elif damage == "other file":
        path.write_text("not safetensors at all, but long enough to have a header")
    with pytest.raises(ModelstitchError) as error:
        weights.load(path)
    assert str(path) in str(error.value) and "delete" not in str(error.value)


def test_no_flipped_bit_gives_another_network(trained, tmp_path):
    path = tmp_path / "network.safetensors"
    weights.save(path, trained)
    refused = 0
    for _ in flipped(path, 100):
        with pytest.raises(ModelstitchError, match=r"network\.safetensors: is no network"):
            weights.load(path)
        refused += 1
    assert refused == 100
    assert Network.load(path).digest == trained.digest


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"image": [1, 32]}, r"network\.image: \(1, 32\)"),
        ({"image": [1, -32, 32]}, r"network\.image"),
        ({"image": 3}, "its header and its weights do not fit together"),
        ({"name": 3}, r"network\.name: 3"),
        ({"mean": ["x"]}, r"network\.mean"),
        ({"classes": [0, 1]}, r"network\.classes"),
        ({"blueprint": [1]}, "its header and its weights do not fit together"),
        (
            {"blueprint": {"model": "R1111", "outputs": 10**15, "arguments": {"width": 4}}},
            "its header and its weights do not fit together",
        ),
    ],
)
def test_a_header_of_another_shape_is_refused_by_field(trained, tmp_path, changes, told):
    path = tmp_path / "network.safetensors"
    weights.save(path, trained)
    named, texts = tensors.read(path, "network", "")
    kept = {name: text for name, text in texts.items() if name in ("network", "about")}
    tensors.write(path, named, kept | {"network": json.dumps(json.loads(texts["network"]) | changes)})
    with pytest.raises(ModelstitchError, match=rf"network\.safetensors: {told}") as caught:
        weights.load(path)
    assert "\n" not in str(caught.value)


def test_what_is_known_of_a_network_is_read_without_its_weights(trained, tmp_path):
    path = tmp_path / "R1111_trained_s0.safetensors"
    weights.save(path, trained)
    expected = json.loads(json.dumps(dict(trained.about))) | {"weights": trained.digest}
    assert about.read(path) == expected
    about.write_json(path, tmp_path / "R1111_trained_s0.json")
    assert json.loads((tmp_path / "R1111_trained_s0.json").read_text()) == expected
    assert networks([tmp_path / "R1111_trained_s0.json"]).accuracy.tolist() == [trained.about["accuracy"]]


def test_a_checkpoint_of_ones_own_is_told_where_it_belongs(tmp_path):
    save_file(Mixer(1).state_dict(), tmp_path / "mine.safetensors")
    with pytest.raises(ModelstitchError, match=r"Network\(module\).*recipe pretrained"):
        Network.load(tmp_path / "mine.safetensors")


def test_a_module_of_ones_own_has_no_file(tmp_path):
    with pytest.raises(ValueError, match="keep its state dict"):
        weights.save(tmp_path / "mine.safetensors", Network(Mixer(1), image=(1, 32, 32)))


def test_weights_that_are_shared_are_written_once_for_each_name(tmp_path, trained):
    network = replace(trained, module=copy.deepcopy(trained.module))
    network.module.head.tied = network.module.head.weight
    weights.save(tmp_path / "network.safetensors", network)
    with safe_open(tmp_path / "network.safetensors", "pt") as file:
        assert torch.equal(file.get_tensor("head.tied"), file.get_tensor("head.weight"))
