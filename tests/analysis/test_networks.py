"""The networks table: one row per network, from the JSON files beside the weights."""

import json

import pandas as pd
import pytest

from modelstitch.analysis import tables
from modelstitch.analysis.networks import COLUMNS, networks
from modelstitch.errors import ModelstitchError
from tests.analysis.written import write_network


def test_a_row_a_network_without_times(tmp_path):
    table = networks(
        [
            write_network(tmp_path, "R1111_random_s0", train_accuracy=None, accuracy=0.1),
            write_network(tmp_path, "R1112_trained_s0"),
            write_network(tmp_path, "R1111_trained_s0"),
        ]
    )
    assert list(table) == list(COLUMNS)
    assert table.network.tolist() == ["R1111_trained_s0", "R1112_trained_s0", "R1111_random_s0"]
    tables.write_csv(table, tmp_path / "networks.csv")
    read = tables.read(tmp_path / "networks.csv")
    pd.testing.assert_frame_equal(read, table)


def test_a_network_is_of_a_model_with_its_arguments_and_only_a_small_resnet_has_a_width(tmp_path):
    own = {"model": "torchvision:vit_b_16", "arguments": '{"dropout": 0.1}', "width": None}
    table = networks([write_network(tmp_path, "R1111_trained_s0"), write_network(tmp_path, "vit_pretrained_s0", **own)])
    assert table.network.tolist() == ["R1111_trained_s0", "vit_pretrained_s0"]
    assert table.model.tolist() == ["R1111", "torchvision:vit_b_16"]
    assert table.arguments.tolist() == ['{"width": 8}', '{"dropout": 0.1}']
    assert table.width[0] == 8 and table.width.isna().tolist() == [False, True]


def test_what_a_network_was_trained_on_stands_in_its_row(tmp_path):
    changes = {"changes": '{"shortcut": 0.75}', "accuracy_changed": 0.9}
    table = networks(
        [write_network(tmp_path, "R1111_trained_s0"), write_network(tmp_path, "dots_trained_s0", **changes)]
    )
    assert table.changes.tolist() == ["{}", '{"shortcut": 0.75}']
    assert table.accuracy_changed.isna().tolist() == [True, False] and table.accuracy_changed[1] == 0.9


def test_a_damaged_file_is_named(tmp_path):
    path = write_network(tmp_path, "R1111_trained_s0")
    about = json.loads(path.read_text())
    del about["accuracy"]
    path.write_text(json.dumps(about))
    with pytest.raises(ModelstitchError, match=r"R1111_trained_s0\.json: key 'accuracy' is missing"):
        networks([path])
    path.write_text("{")
    with pytest.raises(ModelstitchError, match=r"R1111_trained_s0\.json: can't be read"):
        networks([path])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[1]", "is a list: expected a mapping"),
        ('"text"', "is a str: expected a mapping"),
        ("[" * 100_000, r"can't be read as JSON \(is nested too deeply\)"),
        ({"accuracy": float("nan")}, r"can't be read as JSON \(NaN: expected a finite number\)"),
        ({"accuracy": 7}, "accuracy: '7': expected a number, of an accuracy 0 to 1"),
        ({"accuracy": None}, "accuracy: 'None': expected a number"),
        ({"train_accuracy": -0.1}, "train_accuracy: '-0.1': expected a number"),
        ({"accuracy": True}, "accuracy: 'True': expected a number"),
        ({"classes": "10"}, "classes: '10': expected a whole number"),
        ({"seed": 1.5}, "seed: '1.5': expected a whole number"),
        ({"parameters": 10**30}, "parameters: '10{30}': expected a whole number"),
        ({"dataset": {"name": "digits"}}, "dataset: .* expected text"),
        ({"network": "R1112_trained_s0"}, "network: 'R1112_trained_s0': it is another network's"),
    ],
)
def test_what_cannot_be_known_of_a_network_is_refused_by_key(tmp_path, content, told):
    path = write_network(tmp_path, "R1111_trained_s0")
    changed = json.loads(path.read_text()) | content if isinstance(content, dict) else content
    path.write_text(changed if isinstance(changed, str) else json.dumps(changed))
    with pytest.raises(ModelstitchError, match=rf"R1111_trained_s0\.json: {told}") as caught:
        networks([path])
    assert "\n" not in str(caught.value)
