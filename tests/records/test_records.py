"""Records: what is written is what any HDF5 reader finds, and damage is told by name."""

import dataclasses
import tracemalloc

import h5py
import numpy as np
import pytest

from modelstitch import hdf5, records
from modelstitch.errors import ModelstitchError
from modelstitch.fitting.pair import layers_of
from modelstitch.hdf5 import texts
from modelstitch.records import PairRecord
from modelstitch.records.layout import FORMAT_VERSION
from tests.damage import edit, flipped, put
from tests.records import made
from tests.settings import small_resnet

SENDER_LAYERS = (0, 1, 2, 3, 4)
IMAGES = 360
# Names, layouts, shapes and operations of all kinds.
UNLIKE = records.Layers(
    names=("stem", "blocks.0", "blocks.1.add_1", "tokens.größe", "head.linear"),
    layouts=("map", "map-last", "tokens", "tokens", "vector"),
    shapes=np.array([[3, 32, 40, 0], [8, 16, 20, 0], [16, 4, 5, 1], [16, 4, 5, 0], [2048, 1, 1, 0]]),
    operations=np.array([0, 10**6, 10**6 + 7, 3 * 10**12, 2**61]),
    total_operations=2**61 + 1,
)
LAYERS = UNLIKE, made.layers(6)


def make_column(receiver_layer, diverged=(), epochs=4):
    random = np.random.default_rng(receiver_layer)
    cells = len(SENDER_LAYERS)
    failed = np.isin(SENDER_LAYERS, diverged)
    return made.column(
        receiver_layer,
        np.where(failed, np.nan, random.uniform(0.1, 1, cells)),
        test_loss=np.where(failed, np.nan, random.uniform(0.1, 2, cells)),
        train_accuracy=random.uniform(0.1, 1, (cells, epochs)),
        train_loss=random.uniform(0.1, 2, (cells, epochs)),
        predictions=random.integers(0, 10, (cells, IMAGES), np.uint8),
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
        "sender_digest": "4567",
        "receiver_digest": "89ef",
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


def make_record(columns, layers=LAYERS, **changes):
    return PairRecord(make_attributes(**changes), *layers, tuple(columns))


def assert_same(left, right):
    assert left.attributes == right.attributes
    assert len(left.columns) == len(right.columns)
    pairs = [(left.sender, right.sender), (left.receiver, right.receiver)]
    for one, other in (*pairs, *zip(left.columns, right.columns, strict=True)):
        for field in dataclasses.fields(one):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


def test_plain_h5py_finds_every_array_and_attribute(tmp_path):
    columns = [make_column(3), make_column(1, diverged=(2,))]
    records.write(tmp_path / "pair.h5", make_record(columns))
    with h5py.File(tmp_path / "pair.h5") as file:
        assert {"receiver", "sender", "receiver_layers"} < set(file)
        assert file.attrs["format_version"] == FORMAT_VERSION
        assert file.attrs["receiver_accuracy"] == 0.96
        assert '"epochs": 0.25' in file.attrs["settings"]
        assert file.attrs["test_images"] == IMAGES
        assert file["sender_layers"][()].tolist() == list(SENDER_LAYERS)
        assert file["receiver_layers"][()].tolist() == [3, 1]
        assert file["test_accuracy"].dtype == np.float64 and file["test_accuracy"].shape == (5, 2)
        assert file["train_loss"].shape == (5, 2, 4)
        assert file["diverged"].dtype == bool and file["diverged"][2].tolist() == [False, True]
        assert file["reason"].asstr()[1:3, 1].tolist() == ["", "loss not finite in epoch 2"]
        for place, column in enumerate(columns):
            np.testing.assert_array_equal(file["test_accuracy"][:, place], column.test_accuracy)
            np.testing.assert_array_equal(file["train_loss"][:, place], column.train_loss)
            kept = ~column.diverged
            np.testing.assert_array_equal(file["predictions"][kept, place], column.predictions[kept])


def test_plain_h5py_finds_the_layers_of_both_networks(tmp_path):
    records.write(tmp_path / "pair.h5", make_record([make_column(3)]))
    with h5py.File(tmp_path / "pair.h5") as file:
        for role, layers in zip(("sender", "receiver"), LAYERS, strict=True):
            group = file[role]
            assert group["names"].asstr()[()].tolist() == list(layers.names)
            assert group["layouts"].asstr()[()].tolist() == list(layers.layouts)
            np.testing.assert_array_equal(group["shapes"][()], layers.shapes)
            np.testing.assert_array_equal(group["operations"][()], layers.operations)
            assert group.attrs["operations"] == layers.total_operations


def test_layers_are_read_back_as_they_were_written(tmp_path):
    records.write(tmp_path / "pair.h5", make_record([make_column(0)], layers=(made.layers(7), UNLIKE)))
    read = records.read(tmp_path / "pair.h5")
    assert (len(read.sender), len(read.receiver)) == (7, 5)
    assert (read.receiver.names, read.receiver.layouts) == (UNLIKE.names, UNLIKE.layouts)
    assert read.receiver.shapes.dtype == read.receiver.operations.dtype == np.int64
    assert read.receiver.shapes.tolist() == UNLIKE.shapes.tolist()
    assert read.receiver.operations.tolist() == UNLIKE.operations.tolist()
    assert read.receiver.total_operations == 2**61 + 1 and type(read.receiver.total_operations) is int


def test_a_layer_has_a_name_and_a_share_of_the_operations_and_so_has_the_image():
    layers = dataclasses.replace(made.layers(3), operations=np.array([0, 30, 90]), total_operations=120)
    assert [layers.name(layer) for layer in range(-1, 3)] == ["image", "layers.0", "layers.1", "layers.2"]
    assert [layers.depth_by_operations(layer) for layer in range(-1, 3)] == [0, 0, 0.25, 0.75]


def test_the_layers_of_a_network_are_those_that_it_has_with_what_leads_to_them():
    """A convolution of 3 x 3 takes 2 x 9 operations for each input channel, output channel and place of its output."""
    network = small_resnet("R1111", width=4, channels=2, size=(16, 32))
    found = layers_of(network)
    assert found.names == tuple(f"layers.{index}" for index in range(5)) and found.layouts == ("map",) * 5
    assert found.shapes.tolist() == [[4, 16, 32, 0], [4, 16, 32, 0], [8, 8, 16, 0], [16, 4, 8, 0], [32, 2, 4, 0]]
    expected = [18 * 2 * 4 * 16 * 32, 2 * 18 * 4 * 4 * 16 * 32]
    for channels, places in ((8, 8 * 16), (16, 4 * 8), (32, 2 * 4)):
        before = channels // 2
        expected.append((18 * before * channels + 18 * channels * channels + 2 * before * channels) * places)
    assert found.operations.tolist() == np.cumsum(expected).tolist()
    assert found.total_operations == sum(expected) + 2 * 32 * 10


def test_predictions_are_bytes_and_compressed(tmp_path):
    records.write(tmp_path / "pair.h5", make_record([make_column(0)]))
    with h5py.File(tmp_path / "pair.h5") as file:
        predictions = file["predictions"]
        assert predictions.dtype == np.uint8
        assert predictions.compression == "gzip" and predictions.chunks == (1, 1, IMAGES)
        assert predictions.id.get_storage_size() < predictions.size


def test_what_was_written_is_read_back_in_order_of_layers(tmp_path):
    columns = [make_column(layer) for layer in (2, 0, 1)]
    records.write(tmp_path / "pair.h5", make_record(columns))
    read = records.read(tmp_path / "pair.h5")
    assert_same(read, make_record(sorted(columns, key=lambda column: column.receiver_layer)))


def test_a_column_into_the_input_comes_before_all_others(tmp_path):
    columns = [make_column(layer) for layer in (0, 1)]
    into_input = dataclasses.replace(make_column(2), receiver_layer=-1)
    records.write(tmp_path / "pair.h5", make_record([*columns, into_input]))
    assert_same(records.read(tmp_path / "pair.h5"), make_record([into_input, *columns]))


def test_a_column_of_one_layer_twice_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"receiver layers \[0, 1, 0\]"):
        records.write(tmp_path / "pair.h5", make_record([make_column(layer) for layer in (0, 1, 0)]))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("other", [{"sender_layers": (0, 1, 2, 3, 5)}, {"train_loss": np.ones((5, 3))}])
def test_columns_of_other_sender_layers_or_epochs_are_refused(tmp_path, other):
    if "train_loss" in other:
        other |= {"train_accuracy": other["train_loss"]}
    columns = [make_column(0), dataclasses.replace(make_column(1), **other)]
    with pytest.raises(ValueError, match="expected columns alike"):
        records.write(tmp_path / "pair.h5", make_record(columns, (made.layers(6), made.layers(6))))
    assert not any(tmp_path.iterdir())


def test_a_diverged_cell_is_nan_with_its_reason_and_no_predictions(tmp_path):
    records.write(tmp_path / "pair.h5", make_record([make_column(0, diverged=(1, 4))]))
    (column,) = records.read(tmp_path / "pair.h5").columns
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
    record = make_record([make_column(0)])
    del record.attributes["dataset_digest"]
    with pytest.raises(ValueError, match="dataset_digest"):
        records.write(tmp_path / "pair.h5", record)
    assert not any(tmp_path.iterdir())


def test_many_classes_take_two_bytes():
    assert records.predictions_dtype(255) == np.uint8
    assert records.predictions_dtype(256) == np.uint16


def test_blocks_joined_equal_the_whole(tmp_path):
    columns = [make_column(layer, diverged=(layer,)) for layer in range(5)]
    records.write(tmp_path / "whole.h5", make_record(columns))
    records.write(tmp_path / "late.h5", make_record(columns[3:], seconds=4.0, processor_seconds=5.5))
    records.write(tmp_path / "early.h5", make_record(columns[:3], seconds=6.0, processor_seconds=4.0))
    records.join([tmp_path / "late.h5", tmp_path / "early.h5"], tmp_path / "joined.h5")
    assert_same(records.read(tmp_path / "joined.h5"), records.read(tmp_path / "whole.h5"))


def test_joined_speed_counts_all_images_and_devices(tmp_path):
    records.write(tmp_path / "a.h5", make_record([make_column(0)], seconds=1.0, images_per_second=4000.0))
    records.write(tmp_path / "b.h5", make_record([make_column(1)], seconds=3.0, processor_seconds=2.0, device="cuda"))
    records.join([tmp_path / "a.h5", tmp_path / "b.h5"], tmp_path / "joined.h5")
    attributes = records.read(tmp_path / "joined.h5").attributes
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
    records.write(tmp_path / "a.h5", make_record([make_column(0)]))
    records.write(tmp_path / "b.h5", make_record([make_column(layer)], **changes))
    with pytest.raises(ModelstitchError, match=rf"b\.h5: .*{message}"):
        records.join([tmp_path / "a.h5", tmp_path / "b.h5"], tmp_path / "joined.h5")
    assert not (tmp_path / "joined.h5").exists()


def test_blocks_of_other_sender_layers_are_refused(tmp_path):
    layers = (made.layers(6), made.layers(6))
    records.write(tmp_path / "a.h5", make_record([make_column(0)], layers))
    column = dataclasses.replace(make_column(1), sender_layers=(0, 1, 2, 3, 5))
    records.write(tmp_path / "b.h5", make_record([column], layers))
    told = r"b\.h5: sender layers \[0, 1, 2, 3, 5\], epochs 4: expected sender layers \[0, 1, 2, 3, 4\], epochs 4 as in"
    with pytest.raises(ModelstitchError, match=told):
        records.join([tmp_path / "a.h5", tmp_path / "b.h5"], tmp_path / "joined.h5")
    assert not (tmp_path / "joined.h5").exists()


@pytest.mark.parametrize("kept", [0, 7, 1000, -1])
def test_a_truncated_file_is_named(tmp_path, kept):
    path = tmp_path / "pair.h5"
    records.write(path, make_record([make_column(layer) for layer in range(5)]))
    path.write_bytes(path.read_bytes()[:kept])
    told = r"pair\.h5: is no record of modelstitch, or a damaged one.*run the study again"
    with pytest.raises(ModelstitchError, match=told) as caught:
        records.read(path)
    assert "\n" not in str(caught.value)


def test_another_hdf5_file_and_another_version_are_named(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["numbers"] = np.arange(3)
    with pytest.raises(ModelstitchError, match=r"other\.h5: is no record of modelstitch"):
        records.read(tmp_path / "other.h5")
    records.write(tmp_path / "pair.h5", make_record([make_column(0)]))
    edit(tmp_path / "pair.h5", lambda file: file.attrs.update(format_version=99))
    with pytest.raises(ModelstitchError, match=r"pair\.h5: format_version 99"):
        records.read(tmp_path / "pair.h5")
    with pytest.raises(ModelstitchError, match=r"none\.h5: no such file"):
        records.read(tmp_path / "none.h5")


def test_a_folder_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "results").write_text("a file where a folder is expected")
    with pytest.raises(ModelstitchError, match=r"pair\.h5: can't be written"):
        records.write(tmp_path / "results" / "pair.h5", make_record([make_column(0)]))


def test_blocks_of_networks_that_were_cut_elsewhere_are_refused(tmp_path):
    other = dataclasses.replace(made.layers(5), names=tuple("abcde"))
    for name, layer, layers in (("a", 0, made.layers(5)), ("b", 1, other)):
        columns = [made.column(layer, [0.1, 0.2])]
        pair_of = made.record(columns, "R1111_trained_s0", "R1111_trained_s1", (layers, layers))
        records.write(tmp_path / f"{name}.h5", pair_of)
    with pytest.raises(ModelstitchError, match="layers"):
        records.join([tmp_path / "a.h5", tmp_path / "b.h5"], tmp_path / "c.h5")


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors", "folder"])
def test_a_file_that_is_not_ours_is_never_told_to_be_deleted(tmp_path, name):
    path = tmp_path / name
    path.mkdir() if name == "folder" else path.write_bytes(bytes(range(64)))
    with pytest.raises(ModelstitchError, match="is no record of modelstitch") as caught:
        records.read(path)
    assert "delete" not in str(caught.value)


def test_no_flipped_bit_passes(tmp_path):
    path = tmp_path / "pair.h5"
    written = make_record([make_column(layer) for layer in range(5)])
    records.write(path, written)
    refused = 0
    for _ in flipped(path, 500):
        with pytest.raises(ModelstitchError, match=r"pair\.h5: is no record of modelstitch, or a damaged one"):
            records.read(path)
        refused += 1
    assert refused == 500
    assert_same(records.read(path), written)


def _cyclic(file):
    file["sender/again"] = file["sender"]
    del file["sender/operations"]
    file["sender/operations"] = h5py.SoftLink("/sender/again/again/operations")


def _soft(file):
    file["loss"] = file["test_loss"]
    del file["test_loss"]
    file["test_loss"] = h5py.SoftLink("/loss")


def _external_link(file):
    del file["sender"]
    file["sender"] = h5py.ExternalLink("other.h5", "/sender")


def _raw_storage(file):
    del file["test_loss"]
    file.create_dataset("test_loss", (5, 2), float, external=[("/etc/passwd", 0, 80)])


def _virtual(file):
    layout = h5py.VirtualLayout((5, 2), float)
    layout[:] = h5py.VirtualSource("other.h5", "numbers", (5, 2))
    del file["test_loss"]
    file.create_virtual_dataset("test_loss", layout)


def _group_for_array(file):
    del file["test_accuracy"]
    file.create_group("test_accuracy")


def _huge(**how):
    def change(file):
        del file["predictions"]
        file.create_dataset("predictions", (5, 2, 10**15), np.uint8, **how)
        file.attrs["test_images"] = 10**15

    return change


def _many_texts_in_an_attribute(file):
    kind = np.dtype([(f"text{place}", h5py.string_dtype()) for place in range(100)])
    file.attrs.create("seed", np.array(("x" * 1000,) * 100, kind), dtype=kind)


def _array(name, values, **how):
    return lambda file: put(file, name, values, **how)


def _attribute(name, value, group="/"):
    return lambda file: file[group].attrs.__setitem__(name, value)


def _cell(value, expected=0.1):
    values = np.full((5, 2), expected)
    values[1, 1] = value
    return values


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_cyclic, "sender/operations: is a link to elsewhere"),
        (_soft, "test_loss: is a link to elsewhere"),
        (_external_link, "sender: is a link to elsewhere"),
        (_raw_storage, "test_loss: is stored in another file"),
        (_virtual, "test_loss: is stored in another file"),
        (_group_for_array, "test_accuracy: is something else: expected an array"),
        (_array("sender", 3), "sender: is something else: expected a group"),
        (_huge(chunks=(1, 1, 360), compression="gzip"), "predictions: has shape .* can't hold"),
        (_huge(chunks=(1, 1, 360)), "predictions: has shape .* can't hold"),
        (_array("test_accuracy", _cell(7)), r"receiver layer 3: test_accuracy 7\.0: expected 0 to 1"),
        (_array("agreement", _cell(-1)), r"receiver layer 3: agreement -1\.0: expected 0 to 1"),
        (_array("agreement", _cell(np.nan)), "receiver layer 3: agreement .* not finite"),
        (_array("test_loss", _cell(np.inf)), "receiver layer 3: test_loss .* not finite"),
        (_array("train_accuracy", np.full((5, 2, 4), 2.0)), r"layer 0: train_accuracy 2\.0: expected 0 to 1"),
        (_array("train_loss", np.zeros((5, 2, 4), np.float32)), "train_loss: is of type float32"),
        (_array("train_loss", np.zeros((4, 2, 4))), r"train_loss: has shape \(4, 2, 4\): expected \(5, 2, any\)"),
        (_array("predictions", np.zeros((5, 2, 360))), "predictions: is of type float64"),
        (_array("reason", np.zeros((5, 2))), "reason: is of type float64: expected text"),
        (
            _array("reason", np.full((5, 2), "", object), dtype=h5py.string_dtype()),
            "reason: is of type text of variable length: expected text of a fixed length",
        ),
        (
            _array("reason", np.full((5, 2), b"x", h5py.string_dtype("utf-8", 2**23))),
            "reason: has 10 texts of 8388608 bytes: expected names",
        ),
        (_array("reason", np.full((5, 2), b"\xff", h5py.string_dtype("utf-8", 1))), "reason: can't be read"),
        (_many_texts_in_an_attribute, "seed: is of type .*: expected a number or a text"),
        (_array("sender_layers", [0, 1, 2, 3, 99]), "sender layer 99: expected -1 to 4"),
        (_array("receiver_layers", [0, 99]), "receiver layer 99: expected -1 to 5"),
        (_array("receiver_layers", [3, 3]), "receiver_layers: two are the same"),
        (_array("receiver_layers", ["0", "3"]), "receiver_layers: is of type object: expected int64"),
        (_attribute("test_images", 361), r"predictions: has shape \(5, 2, 360\): expected \(5, 2, 361\)"),
        (_attribute("receiver_accuracy", 7.0), r"receiver_accuracy: 7\.0: expected 0 to 1"),
        (_attribute("receiver_accuracy", "0.9"), "receiver_accuracy: '0.9': expected int or float"),
        (_attribute("study", 3), "study: '3': expected str"),
        (_attribute("seed", [1, 2]), r"seed: has shape \(2,\): expected a single value"),
        (_attribute("settings", '{"epochs": NaN}'), "settings: is no JSON .*NaN: expected a finite number"),
        (_attribute("settings", '{"epochs": 1e999}'), "settings: is no JSON .*1e999: expected a finite number"),
        (_attribute("settings", "[" * 100_000), "settings: is no JSON"),
        (_attribute("settings", "[1]"), "settings: is a list: expected a mapping"),
        (lambda file: file.attrs.__delitem__("dataset_digest"), "dataset_digest: is missing"),
        (lambda file: file.__delitem__("diverged"), "diverged: is missing"),
        (_array("receiver_layers", np.zeros(0, np.int64)), r"test_accuracy: has shape \(5, 2\): expected \(5, 0\)"),
        (_array("receiver/layouts", texts(["map"] * 5 + ["heap"])), r"\['heap'\]"),
        (_array("receiver/shapes", np.full((6, 4), -4)), "receiver/shapes: -4: expected 0"),
    ],
)
def test_what_cannot_be_a_record_is_refused_by_file_and_field(tmp_path, change, told):
    path = tmp_path / "pair.h5"
    records.write(path, make_record([make_column(0), make_column(3)]))
    edit(path, change)
    with pytest.raises(ModelstitchError, match=rf"pair\.h5: .*{told}") as caught:
        records.read(path)
    assert "\n" not in str(caught.value)


def test_a_text_that_is_named_many_times_takes_no_memory(tmp_path):
    """Texts of variable length name objects in a heap: 1,000 elements may all name one of 64 kB, 64 MB in all."""
    path, count, long = tmp_path / "pair.h5", 1000, b"x" * 2**16
    records.write(path, make_record([make_column(0)]))

    def name_one(file):
        put(file, "sender/names", np.array([long] + [b""] * (count - 1), object), dtype=h5py.string_dtype())
        place = file["sender/names"].id.get_offset()
        file.flush()
        with open(path, "r+b") as raw:
            raw.seek(place)
            element = raw.read(16)
            raw.seek(place)
            raw.write(element * count)

    edit(path, name_one)
    tracemalloc.start()
    with pytest.raises(ModelstitchError, match=r"pair\.h5: sender/names: is of type text of variable length"):
        records.read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**24


def test_texts_are_read_of_which_one_is_long(tmp_path):
    """Of a failed cell among 36,100, and of a class among 10,000: each takes as much as the longest."""
    path = tmp_path / "texts.h5"
    written = {
        "reasons": ["", *["a loss that is not finite, told"], *[""] * 36_098],
        "classes": [f"{'x' * 40}{n}" for n in range(9_999)],
    }
    written["classes"].append("y" * 255)
    hdf5.write(path, lambda file: file.update({name: hdf5.texts(each) for name, each in written.items()}))
    with hdf5.opened(path, "file", "make it anew") as fields:
        for name, each in written.items():
            assert list(fields.texts(name, (None,))) == each
