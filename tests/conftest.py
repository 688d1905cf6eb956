"""What many tests share: real digits, few of them, and networks on them, made once per session."""

import pytest
import torch

from modelstitch.analysis.evidence import Evidence
from modelstitch.data import datasets
from modelstitch.data.datasets import Split
from modelstitch.data.sources import digits as source
from modelstitch.identifiers import NetworkId
from modelstitch.networks import training
from tests.settings import architecture, initialised, training_settings

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("digits") / "dataset.h5"
    source.prepare(path)
    return path


@pytest.fixture(scope="session")
def digits(digits_path):
    """All the handwritten digits: 1,437 training and 360 test images."""
    return datasets.read(digits_path)


@pytest.fixture(scope="session")
def few_digits_path(digits, tmp_path_factory):
    path = tmp_path_factory.mktemp("few_digits") / "dataset.h5"
    train, test = (
        Split(split.images[:count], split.labels[:count]) for split, count in ((digits.train, 203), (digits.test, 101))
    )
    datasets.write(path, "few digits", train, test, digits.classes)
    return path


@pytest.fixture(scope="session")
def few_digits(few_digits_path):
    """The first 203 training and 101 test digits: no round number divides them."""
    return datasets.read(few_digits_path)


@pytest.fixture(scope="session")
def few_digits_evidence(few_digits_path):
    """What records of the few digits are held against."""
    return Evidence.of(few_digits_path)


@pytest.fixture(scope="session")
def trained(digits, tmp_path_factory):
    """R1111 of width 4, trained on the digits to more than .8."""
    network_id = NetworkId("R1111", "trained", 0)
    checkpoint = tmp_path_factory.mktemp("trained") / "checkpoint.safetensors"
    network = training.train(network_id, architecture(training=training_settings(epochs=4)), digits, 0, checkpoint)
    assert network.about["accuracy"] > 0.8
    return network


@pytest.fixture(scope="session")
def random_networks(digits):
    """R1112, calibrated, and R1111, random: unlike the trained one in depth or in weights."""
    ids = (NetworkId("R1112", "calibrated", 0), NetworkId("R1111", "random", 0))
    return tuple(initialised(network_id, digits) for network_id in ids)
