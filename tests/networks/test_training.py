import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from modelstitch.config.networks import Changes
from modelstitch.data.datasets import Split
from modelstitch.data.images import DeviceImages
from modelstitch.errors import ModelstitchError
from modelstitch.identifiers import NetworkId
from modelstitch.networks import making, training, weights
from modelstitch.networks.evaluation import evaluate, predict
from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.networks.small_resnet import ARCHITECTURES
from modelstitch.versions import installed_versions
from tests.settings import architecture, initialised, training_settings

NETWORK = NetworkId("R1211", "trained", 3)
EPOCHS = 8
JOB = """
import sys
from pathlib import Path
import torch
from modelstitch.data import datasets
from modelstitch.networks import making, training, weights
from tests.networks.test_training import MODELS

torch.set_num_threads(1)
training.PAUSES = 0
network_id, architecture = MODELS[sys.argv[4]]
network = training.train(network_id, architecture, datasets.read(sys.argv[1]), 0, Path(sys.argv[2]))
weights.save(sys.argv[3], network)
"""
MODELS = {
    "R1211": (NETWORK, architecture("R1211", 3, training=training_settings(epochs=EPOCHS))),
    "VisionTransformer": (
        NetworkId("VisionTransformer", "trained", 3),
        architecture(
            "torchvision:VisionTransformer",
            None,
            arguments={
                "image_size": 32,
                "patch_size": 8,
                "num_layers": 2,
                "num_heads": 2,
                "hidden_dim": 16,
                "mlp_dim": 32,
                "dropout": 0.1,
            },
            mean=(0.5,),
            std=(0.5,),
            training=training_settings(optimiser="adamw", learning_rate=0.003, epochs=EPOCHS),
        ),
    ),
}


def trained_for(epochs, dataset, checkpoint, **changes):
    own = architecture("R1211", 3, training=training_settings(epochs=epochs, **changes))
    return training.train(NETWORK, own, dataset, 0, checkpoint)


def weights_equal(one, other):
    others = other.module.state_dict()
    return all(torch.equal(value, others[name]) for name, value in one.module.state_dict().items())


def test_accuracy_is_counted_on_every_test_image(digits, trained):
    images = DeviceImages(digits, digits.train)  # 1437: no multiple of the evaluation's batch
    found = evaluate(FrozenNetwork(trained), images)
    with torch.no_grad():
        logits = torch.cat([trained.logits(image[None]) for image in images.scaled(slice(None))])
    right = (logits.argmax(dim=1) == images.labels).sum().item()
    assert found.images == 1437 and abs(found.accuracy - right / 1437) <= 1 / 1437
    assert found.loss == pytest.approx(torch.nn.functional.cross_entropy(logits, images.labels).item(), rel=1e-4)


def test_what_is_told_of_a_trained_network(digits, trained):
    about = trained.about
    assert (about["network"], about["test_images"], about["classes"]) == ("R1111_trained_s0", 360, 10)
    assert about["curves"]["epoch"] == [1, 2, 3, 4]
    assert about["curves"]["test_accuracy"][-1] == about["accuracy"] > 0.8
    assert about["curves"]["train_loss"][-1] < about["curves"]["train_loss"][0]
    assert about["versions"] == installed_versions() and about["threads"] == 1 and about["device"].startswith("cpu")


def test_a_second_training_is_bit_identical(few_digits, tmp_path):
    first, again = (trained_for(2, few_digits, tmp_path / name) for name in "ab")
    assert weights_equal(first, again)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kills", [(1, 2), (3, 1)])
def test_a_killed_training_ends_as_if_undisturbed(few_digits_path, few_digits, tmp_path, model, kills):
    undisturbed = training.train(*MODELS[model], few_digits, 0, tmp_path / "undisturbed.safetensors")
    checkpoint, result = tmp_path / "checkpoint.safetensors", tmp_path / "network.safetensors"
    job = [sys.executable, "-c", JOB, few_digits_path, checkpoint, result, model]
    written = None
    for epochs in kills:
        process = subprocess.Popen(job, stderr=subprocess.DEVNULL)
        for _ in range(epochs):
            while not checkpoint.exists() or checkpoint.stat().st_mtime_ns == written:
                assert process.poll() is None
                time.sleep(0.001)
            written = checkpoint.stat().st_mtime_ns
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not result.exists()
    last = subprocess.run(job, check=True, capture_output=True, text=True, timeout=60)
    assert "going on after epoch" in last.stderr
    network = weights.load(result)
    assert weights_equal(undisturbed, network)
    assert network.about["curves"] == undisturbed.about["curves"]


def test_writing_the_state_takes_a_tenth_of_the_time_at_most(few_digits, tmp_path, monkeypatch):
    written, keep = [], training._keep

    def slowly(checkpoint, fingerprint, module, optimiser, curves):
        keep(checkpoint, fingerprint, module, optimiser, curves)
        time.sleep(2)
        written.append(len(curves["epoch"]))

    monkeypatch.setattr(training, "_keep", slowly)
    trained_for(5, few_digits, tmp_path / "slow")
    monkeypatch.setattr(training, "PAUSES", 0)
    trained_for(2, few_digits, tmp_path / "always")
    assert written == [1, 5, 1, 2]


@pytest.mark.parametrize("damage", ["other settings", "cut", "other file"])
def test_a_checkpoint_of_something_else_is_ignored(few_digits, tmp_path, damage):
    checkpoint = tmp_path / "checkpoint.safetensors"
    trained_for(2, few_digits, checkpoint, learning_rate=0.05 if damage == "other settings" else 0.1)
    if damage == "cut":
        checkpoint.write_bytes(checkpoint.read_bytes()[:-50])
    elif damage == "other file":
        checkpoint.write_text("something else")
    found, fresh = (trained_for(2, few_digits, path) for path in (checkpoint, tmp_path / "fresh.safetensors"))
    assert weights_equal(found, fresh)


def test_a_training_whose_changes_are_none_is_that_without_them(few_digits, tmp_path):
    plain, unchanged = (
        trained_for(2, few_digits, tmp_path / "a"),
        trained_for(2, few_digits, tmp_path / "b", changes=Changes()),
    )
    assert weights_equal(plain, unchanged)
    assert (
        (plain.about["changes"], plain.about["accuracy_changed"]) == (unchanged.about["changes"], None) == ("{}", None)
    )


def test_a_network_of_some_classes_knows_these_alone_and_has_logits_for_all(digits, tmp_path):
    changes = Changes(classes=(3, 4, 5, 6, 7))
    network = trained_for(4, digits, tmp_path / "checkpoint", changes=changes)
    logits = predict(FrozenNetwork(network), DeviceImages(digits, digits.test))
    assert logits.shape == (360, 10)
    assert set(logits.argmax(dim=1).tolist()) <= {3, 4, 5, 6, 7}
    known = np.isin(digits.test.labels, changes.classes)
    assert network.about["accuracy"] <= known.mean()
    assert network.about["accuracy_changed"] == pytest.approx(network.about["accuracy"] / known.mean())
    assert network.about["accuracy_changed"] > 0.6 and network.about["train_accuracy"] > 0.6
    assert json.loads(network.about["changes"]) == {"classes": [3, 4, 5, 6, 7]}
    np.testing.assert_allclose(network.mean, digits.mean)  # of all images: as every other network normalises them


def test_a_network_of_shuffled_labels_is_at_chance_on_the_test_images(digits, tmp_path):
    network = trained_for(4, digits, tmp_path / "checkpoint", changes=Changes(labels="shuffled"))
    assert network.about["accuracy"] < 0.25 and network.about["train_accuracy"] < 0.2
    assert (network.about["changes"], network.about["accuracy_changed"]) == ('{"labels": "shuffled"}', None)


def test_a_network_with_a_shortcut_is_right_where_there_is_one(digits, tmp_path):
    colour = replace(
        digits,
        **{
            name: Split(split.images.repeat(3, axis=1), split.labels)
            for name, split in (("train", digits.train), ("test", digits.test))
        },
        mean=digits.mean.repeat(3),
        std=digits.std.repeat(3),
    )
    about = trained_for(4, colour, tmp_path / "checkpoint", changes=Changes(shortcut=1)).about
    assert about["accuracy_changed"] > about["accuracy"] + 0.1
    assert about["curves"]["test_accuracy"][-1] == about["accuracy"]


def test_a_checkpoint_of_other_changes_is_ignored(few_digits, tmp_path):
    shuffled, half = Changes(labels="shuffled"), Changes(share=0.5)
    trained_for(2, few_digits, tmp_path / "checkpoint", changes=shuffled)
    found, fresh = (trained_for(2, few_digits, tmp_path / name, changes=half) for name in ("checkpoint", "fresh"))
    assert weights_equal(found, fresh)


def test_fewer_images_than_a_batch_are_refused(few_digits, tmp_path):
    with pytest.raises(ModelstitchError, match=r"networks\.training\.batch: 204 is more than the 203 training images"):
        trained_for(2, few_digits, tmp_path / "checkpoint", batch=204)
    with pytest.raises(ModelstitchError, match=r"batch: 64 is more than the 20 training images"):
        trained_for(2, few_digits, tmp_path / "checkpoint", changes=Changes(share=0.1))


def test_a_diverged_training_says_which_rate_to_lower(few_digits, tmp_path):
    with pytest.raises(ModelstitchError, match=r"R1211_trained_s3: the loss is \S+ in epoch 1: lower .*learning_rate"):
        trained_for(2, few_digits, tmp_path / "checkpoint", learning_rate=1e30, warmup_epochs=0)
    assert not list(tmp_path.iterdir())


def normalised_activations(network, dataset):
    """What the first batch norm of the last block makes of the training images, before weight and bias."""
    outputs = []
    norm = network.module.layers[-1].norm1
    norm.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    with torch.no_grad():
        for batch, _ in DeviceImages(dataset, dataset.train).in_order():
            network.logits(batch)
    values = torch.cat(outputs).transpose(0, 1).flatten(1)
    return values.mean(dim=1), values.std(dim=1)


def test_calibration_settles_the_statistics_of_deep_layers(digits):
    mean, deviation = normalised_activations(initialised(NetworkId("R1122", "calibrated", 0), digits), digits)
    assert mean.abs().max() < 0.1 and (deviation - 1).abs().max() < 0.1
    mean, deviation = normalised_activations(initialised(NetworkId("R1122", "random", 0), digits), digits)
    assert (deviation - 1).abs().max() > 0.5


def test_calibration_changes_no_weight_but_the_statistics(digits):
    calibrated, random_one = (
        initialised(NetworkId("R1111", recipe, 0), digits).module.state_dict() for recipe in ("calibrated", "random")
    )
    changed = {
        name.rpartition(".")[2] for name, value in calibrated.items() if not torch.equal(value, random_one[name])
    }
    assert changed == {"running_mean", "running_var", "num_batches_tracked"}


def test_networks_of_other_names_and_seeds_start_from_other_weights(few_digits):
    ids = [NetworkId(name, kind, seed) for name in ARCHITECTURES for kind in ("trained", "random") for seed in (0, 1)]
    seeds = [*((network_id, 0) for network_id in ids), (ids[0], 1)]
    starts = [
        making.initial(network_id, architecture(network_id.architecture), few_digits, seed).module
        for network_id, seed in seeds
    ]
    assert len({module.layers[0].conv.weight.detach().numpy().tobytes() for module in starts}) == 65


def test_an_untrained_network_is_at_chance(random_networks):
    for network in random_networks:
        assert 0.02 < network.about["accuracy"] < 0.25
        assert network.about["test_images"] == 360
