"""What a GPU may change: nothing that matters. docs/results.md states the tolerance."""

import numpy as np
import pytest
import torch

from modelstitch import pairs
from tests.settings import FAST

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here")


def accuracies(network, dataset, device, precision="float32"):
    columns, _, _ = pairs.train_pair(
        network,
        network,
        dataset,
        FAST.model_copy(update={"precision": precision}),
        study_seed=0,
        sender_layers=range(5),
        receiver_layers=range(5),
        device=device,
    )
    return np.stack([column.test_accuracy for column in columns])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_two_runs_on_a_gpu_agree(digits, trained, precision):
    one, other = (accuracies(trained, digits, "cuda", precision) for _ in range(2))
    assert np.abs(one - other).max() <= 0.02 and np.abs(one - other).mean() < 0.005


def test_a_gpu_agrees_with_the_processor(digits, trained):
    difference = np.abs(accuracies(trained, digits, "cuda") - accuracies(trained, digits, "cpu"))
    assert difference.max() <= 0.05 and difference.mean() < 0.01
