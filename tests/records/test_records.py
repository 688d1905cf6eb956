"""Records: what is written is what any HDF5 reader finds, and damage is told by name."""

import dataclasses

import h5py
import numpy as np
import pytest

from modelstitch import records
from modelstitch.errors import ModelstitchError

SENDER_LAYERS = (0, 1, 2, 3, 4)
IMAGES = 360


def make_column(receiver_layer, diverged=(), epochs=4):
    random = np.random.default_rng(receiver_layer)
    cells = len(SENDER_LAYERS)
    failed = np.isin(SENDER_LAYERS, diverged)
    return records.Column(
        receiver_layer=receiver_layer,
        sender_layers=SENDER_LAYERS,
        test_accuracy=np.where(failed, np.nan, random.uniform(0.1, 1, cells)),
        test_loss=np.where(failed, np.nan, random.uniform(0.1, 2, cells)),
        train_accuracy=random.uniform(0.1, 1, (cells, epochs)),
        train_loss=random.uniform(0.1, 2, (cells, epochs)),
        test_images=IMAGES,
        predictions=random.integers(0, 10, (cells, IMAGES), np.uint8),
        diverged=failed,
        reason=tuple("loss not finite in epoch 2" if bad else "" for bad in failed),
    )


def make_attributes(**changes):
    return {
        "study": "digits",
        "objective": "task",
        "sender": "R1111_trained_s0",
        "receiver": "R1112_trained_s0",
        "sender_accuracy": 0.95,
        "receiver_accuracy": 0.96,
        "dataset": "digits",
        "dataset_digest": "0123abcd",
        "settings": {"protocol": "paper", "epochs": 0.25, "augmentation": {"flip": True}},
        "seed": 0,
        "precision": "float32",
        "versions": {"torch": "2.9.0", "numpy": "2.4.6"},
        "device": "cpu",
        "seconds": 10.0,
        "processor_seconds": 9.5,
        "images_per_second": 1000.0,
    } | changes


def assert_same(left, right):
    assert left.attributes == right.attributes
    assert len(left.columns) == len(right.columns)
    for one, other in zip(left.columns, right.columns, strict=True):
        for field in dataclasses.fields(one):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


def test_plain_h5py_finds_every_array_and_attribute(tmp_path):
    column = make_column(3)
    records.write_pair(tmp_path / "pair.h5", [column], make_attributes())
    with h5py.File(tmp_path / "pair.h5") as file:
        assert list(file) == ["layer_03"]
        assert file.attrs["format_version"] == records.FORMAT_VERSION
        assert file.attrs["receiver_accuracy"] == 0.96
        assert '"epochs": 0.25' in file.attrs["settings"]
        group = file["layer_03"]
        assert group.attrs["test_images"] == IMAGES
        assert group["sender_layers"][()].tolist() == list(SENDER_LAYERS)
        assert group["test_accuracy"].dtype == np.float64 and group["test_accuracy"].shape == (5,)
        assert group["train_loss"].shape == (5, 4)
        assert group["diverged"].dtype == bool
        np.testing.assert_array_equal(group["test_accuracy"][()], column.test_accuracy)
        np.testing.assert_array_equal(group["predictions"][()], column.predictions)


def test_predictions_are_bytes_and_compressed(tmp_path):
    records.write_pair(tmp_path / "pair.h5", [make_column(0)], make_attributes())
    with h5py.File(tmp_path / "pair.h5") as file:
        predictions = file["layer_00/predictions"]
        assert predictions.dtype == np.uint8
        assert predictions.compression == "gzip"
        assert predictions.id.get_storage_size() < predictions.size


def test_what_was_written_is_read_back_in_order_of_layers(tmp_path):
    columns = [make_column(layer) for layer in (2, 0, 1)]
    records.write_pair(tmp_path / "pair.h5", columns, make_attributes())
    read = records.read_pair(tmp_path / "pair.h5")
    assert_same(read, records.PairRecord(make_attributes(), tuple(sorted(columns, key=lambda c: c.receiver_layer))))


def test_a_diverged_cell_is_nan_with_its_reason_and_no_predictions(tmp_path):
    records.write_pair(tmp_path / "pair.h5", [make_column(0, diverged=(1, 4))], make_attributes())
    (column,) = records.read_pair(tmp_path / "pair.h5").columns
    assert np.isnan(column.test_accuracy).tolist() == [False, True, False, False, True]
    assert column.diverged.tolist() == [False, True, False, False, True]
    assert column.reason[1] == "loss not finite in epoch 2" and column.reason[0] == ""
    assert (column.predictions[[1, 4]] == 255).all() and (column.predictions[[0, 2, 3]] < 10).all()


def test_a_nan_without_a_reason_is_refused():
    column = make_column(0)
    with pytest.raises(ValueError, match=r"cell \(0, 0\)"):
        dataclasses.replace(column, test_accuracy=np.full(5, np.nan))
    with pytest.raises(ValueError, match="predictions has shape"):
        dataclasses.replace(column, test_images=IMAGES + 1)


def test_a_missing_attribute_is_refused(tmp_path):
    attributes = make_attributes()
    del attributes["dataset_digest"]
    with pytest.raises(ValueError, match="dataset_digest"):
        records.write_pair(tmp_path / "pair.h5", [make_column(0)], attributes)
    assert not any(tmp_path.iterdir())


def test_many_classes_take_two_bytes():
    assert records.predictions_dtype(255) == np.uint8
    assert records.predictions_dtype(256) == np.uint16


def test_blocks_joined_equal_the_whole(tmp_path):
    columns = [make_column(layer, diverged=(layer,)) for layer in range(5)]
    records.write_pair(tmp_path / "whole.h5", columns, make_attributes())
    records.write_pair(tmp_path / "late.h5", columns[3:], make_attributes(seconds=4.0, processor_seconds=5.5))
    records.write_pair(tmp_path / "early.h5", columns[:3], make_attributes(seconds=6.0, processor_seconds=4.0))
    records.join([tmp_path / "late.h5", tmp_path / "early.h5"], tmp_path / "joined.h5")
    assert_same(records.read_pair(tmp_path / "joined.h5"), records.read_pair(tmp_path / "whole.h5"))


def test_joined_speed_counts_all_images_and_devices(tmp_path):
    records.write_pair(tmp_path / "a.h5", [make_column(0)], make_attributes(seconds=1.0, images_per_second=4000.0))
    records.write_pair(
        tmp_path / "b.h5", [make_column(1)], make_attributes(seconds=3.0, processor_seconds=2.0, device="cuda")
    )
    records.join([tmp_path / "a.h5", tmp_path / "b.h5"], tmp_path / "joined.h5")
    attributes = records.read_pair(tmp_path / "joined.h5").attributes
    assert (attributes["seconds"], attributes["processor_seconds"]) == (4.0, 11.5)
    assert attributes["images_per_second"] == 1750.0
    assert attributes["device"] == "cpu; cuda"


@pytest.mark.parametrize(
    ("layer", "changes", "message"),
    [
        (0, {}, "receiver layer 0 is also in"),
        (1, {"seed": 1}, "seed 1 differs from 0"),
        (1, {"settings": {"epochs": 4}}, "settings"),
        (1, {"versions": {"torch": "3"}}, "versions"),
    ],
)
def test_blocks_that_overlap_or_disagree_are_refused(tmp_path, layer, changes, message):
    records.write_pair(tmp_path / "a.h5", [make_column(0)], make_attributes())
    records.write_pair(tmp_path / "b.h5", [make_column(layer)], make_attributes(**changes))
    with pytest.raises(ModelstitchError, match=rf"b\.h5: .*{message}"):
        records.join([tmp_path / "a.h5", tmp_path / "b.h5"], tmp_path / "joined.h5")
    assert not (tmp_path / "joined.h5").exists()


@pytest.mark.parametrize("kept", [0, 7, 1000, -1])
def test_a_truncated_file_is_named(tmp_path, kept):
    path = tmp_path / "pair.h5"
    records.write_pair(path, [make_column(layer) for layer in range(5)], make_attributes())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelstitchError, match=r"pair\.h5: not a whole record.*run the study again") as caught:
        records.read_pair(path)
    assert "\n" not in str(caught.value)


def test_another_hdf5_file_and_another_version_are_named(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["numbers"] = np.arange(3)
    with pytest.raises(ModelstitchError, match=r"other\.h5: not a whole record"):
        records.read_pair(tmp_path / "other.h5")
    records.write_pair(tmp_path / "pair.h5", [make_column(0)], make_attributes())
    with h5py.File(tmp_path / "pair.h5", "r+") as file:
        file.attrs["format_version"] = 99
    with pytest.raises(ModelstitchError, match=r"pair\.h5: format_version 99"):
        records.read_pair(tmp_path / "pair.h5")
    with pytest.raises(ModelstitchError, match=r"none\.h5: no such file"):
        records.read_pair(tmp_path / "none.h5")


def test_a_folder_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "results").write_text("a file where a folder is expected")
    with pytest.raises(ModelstitchError, match=r"pair\.h5: can't be written"):
        records.write_pair(tmp_path / "results" / "pair.h5", [make_column(0)], make_attributes())
