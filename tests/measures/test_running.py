"""A measure takes records and stitches of its own pair alone."""

import dataclasses
import shutil

import pytest

from modelstitch import records
from modelstitch.errors import ModelstitchError
from modelstitch.fitting.pair import train_pair
from modelstitch.measures import running
from modelstitch.stitches import files
from tests.settings import stitch_settings


@pytest.fixture
def made(tmp_path, few_digits, trained, random_networks):
    """The networks of a pair, and its record and stitches where a study has them."""
    networks = trained, random_networks[1]
    layers = {"sender_layers": [1], "receiver_layers": [1]}
    record, stitches = train_pair(*networks, few_digits, stitch_settings(epochs=0.1), study_seed=0, **layers)
    folder = tmp_path / "task" / networks[0].name
    records.write(folder / f"{networks[1].name}.h5", record)
    files.write(folder / f"{networks[1].name}.safetensors", stitches, "linear", record.attributes)
    return networks, folder / networks[1].name


@pytest.mark.parametrize("suffix", ["h5", "safetensors"])
def test_what_is_of_another_pair_network_or_data_set_is_refused(made, few_digits, suffix):
    (sender, receiver), stem = made
    path = stem.with_name(f"{stem.name}.{suffix}")
    running.reader((sender, receiver), few_digits)(path)
    elsewhere = path.parents[2] / "similarity" / path.parent.name / path.name
    elsewhere.parent.mkdir(parents=True)
    shutil.copy(path, elsewhere)
    with pytest.raises(ModelstitchError, match="objective: 'task': expected 'similarity'"):
        running.reader((sender, receiver), few_digits)(elsewhere)
    other = dataclasses.replace(few_digits, digest="0" * 64)
    with pytest.raises(ModelstitchError, match=f"dataset_digest: '{few_digits.digest}': expected '0"):
        running.reader((sender, receiver), other)(path)
    retrained = dataclasses.replace(sender, module=receiver.module)
    with pytest.raises(ModelstitchError, match=f"sender_digest: '{sender.digest}': expected '{receiver.digest}'"):
        running.reader((retrained, receiver), few_digits)(path)
