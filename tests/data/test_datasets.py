import h5py
import numpy as np
import pytest

from modelstitch.data import datasets
from modelstitch.data.datasets import Split
from modelstitch.errors import ModelstitchError
from tests.damage import edit, flipped, put

CLASSES = ("cat", "größe")


def splits(channels=3, seed=0):
    random = np.random.default_rng(seed)
    return [
        Split(random.integers(0, 256, (count, channels, 5, 4), dtype=np.uint8), np.arange(count) % 2)
        for count in (2300, 7)
    ]


def test_what_is_written_is_read(tmp_path):
    train, test = splits()
    datasets.write(tmp_path / "new" / "dataset.h5", "cats", train, test, CLASSES)
    dataset = datasets.read(tmp_path / "new" / "dataset.h5")
    assert (dataset.name, dataset.classes) == ("cats", CLASSES)
    for written, found in ((train, dataset.train), (test, dataset.test)):
        assert found.images.dtype == np.uint8
        assert found.labels.dtype == np.int64
        np.testing.assert_array_equal(found.images, written.images)
        np.testing.assert_array_equal(found.labels, written.labels)
    assert dataset.mean.dtype == dataset.std.dtype == np.float32
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["dataset.h5"]


def test_sizes_are_those_of_the_file_and_none_where_there_is_none(tmp_path):
    assert datasets.read_sizes(tmp_path / "dataset.h5") is None
    datasets.write(tmp_path / "dataset.h5", "cats", *splits(), CLASSES)
    assert datasets.read_sizes(tmp_path / "dataset.h5") == ((3, 5, 4), 2300, 7, 2)
    (tmp_path / "dataset.h5").write_bytes(b"other")
    with pytest.raises(ModelstitchError, match=r"dataset\.h5: is no data set"):
        datasets.read_sizes(tmp_path / "dataset.h5")


def test_statistics_are_those_of_the_training_pixels(tmp_path):
    train, test = splits()
    mean, std = datasets.channel_statistics(train.images)
    scaled = train.images.astype(np.float64) / 255
    np.testing.assert_allclose(mean, scaled.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std, scaled.std(axis=(0, 2, 3)), rtol=1e-12)
    datasets.write(tmp_path / "dataset.h5", "cats", train, test, CLASSES)
    np.testing.assert_array_equal(datasets.read(tmp_path / "dataset.h5").mean, mean.astype(np.float32))


def test_statistics_of_black_and_white_are_one_half():
    images = np.zeros((2, 1, 2, 2), dtype=np.uint8)
    images[0] = 255
    mean, std = datasets.channel_statistics(images)
    assert (mean[0], std[0]) == (0.5, 0.5)


def test_two_writings_give_the_same_bytes(tmp_path):
    for name in ("a.h5", "b.h5"):
        datasets.write(tmp_path / name, "cats", *splits(), CLASSES)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_the_digest_tells_one_pixel_one_label_and_one_class(tmp_path):
    def digest(train, test, classes=CLASSES):
        datasets.write(tmp_path / "dataset.h5", "cats", train, test, classes)
        return datasets.read(tmp_path / "dataset.h5").digest

    digests = {digest(*splits())}
    for change in ("images", "labels"):
        for index in (0, 1):
            changed = splits()
            array = getattr(changed[index], change)
            array.flat[3] = array.flat[3] ^ 1
            digests.add(digest(*changed))
    digests.add(digest(*splits(), classes=("cat", "dog")))
    assert len(digests) == 6
    assert digest(*splits()) in digests


def test_a_constant_channel_is_refused_and_nothing_is_written(tmp_path):
    train, test = splits()
    train.images[:, 1] = 7
    with pytest.raises(ModelstitchError, match="'cats': channel 1 has one value"):
        datasets.write(tmp_path / "dataset.h5", "cats", train, test, CLASSES)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "train",
    [
        Split(np.zeros((2, 3, 5, 4)), np.arange(2)),
        Split(np.zeros((2, 3, 5), np.uint8), np.arange(2)),
        Split(np.zeros((0, 3, 5, 4), np.uint8), np.arange(0)),
        Split(np.zeros((2, 3, 5, 4), np.uint8), np.arange(3)),
        Split(np.zeros((2, 3, 5, 4), np.uint8), np.array([0, 2])),
        Split(np.zeros((2, 1, 5, 4), np.uint8), np.arange(2)),
    ],
)
def test_arrays_that_are_no_images_with_labels_are_refused(tmp_path, train):
    with pytest.raises(ValueError, match=r"images are|labels are"):
        datasets.write(tmp_path / "dataset.h5", "cats", train, splits()[1], CLASSES)


def test_a_file_that_is_no_data_set_is_refused_by_name(tmp_path):
    with pytest.raises(ModelstitchError, match=r"missing\.h5: no such file"):
        datasets.read(tmp_path / "missing.h5")
    datasets.write(tmp_path / "cut.h5", "cats", *splits(), CLASSES)
    (tmp_path / "cut.h5").write_bytes((tmp_path / "cut.h5").read_bytes()[:5000])
    with pytest.raises(ModelstitchError, match=r"cut\.h5: is no data set of modelstitch"):
        datasets.read(tmp_path / "cut.h5")
    h5py.File(tmp_path / "other.h5", "w").close()
    with pytest.raises(ModelstitchError, match=r"other\.h5: is no data set of modelstitch"):
        datasets.read(tmp_path / "other.h5")


def test_no_flipped_bit_passes(tmp_path):
    path = tmp_path / "dataset.h5"
    datasets.write(path, "cats", *splits(), CLASSES)
    refused = 0
    for _ in flipped(path, 500):
        for read in (datasets.read, datasets.read_test_labels):
            with pytest.raises(ModelstitchError, match=r"dataset\.h5: is no data set of modelstitch, or a damaged one"):
                read(path)
        refused += 1
    assert refused == 500
    np.testing.assert_array_equal(datasets.read(path).train.images, splits()[0].images)
    np.testing.assert_array_equal(datasets.read_test_labels(path).labels, splits()[1].labels)


def _passwords(file):
    del file["test/labels"]
    file["test"].create_dataset("labels", (7,), np.int64, external=[("/etc/passwd", 0, 56)])


def _linked(file):
    del file["test"]
    file["test"] = h5py.ExternalLink("other.h5", "/test")


def _huge(file):
    del file["train/images"]
    file["train"].create_dataset("images", (10**15, 3, 5, 4), np.uint8)


def _group(file):
    del file["mean"]
    file.create_group("mean")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda file: put(file, "test/labels", [0, 1, 0, 1, 0, 1, 99]), "test/labels: 99: expected 0 to 1"),
        (lambda file: put(file, "test/labels", [0, 1, 0, 1, 0, 1, -1]), "test/labels: -1: expected 0 to 1"),
        (lambda file: put(file, "test/labels", np.zeros(7)), "test/labels: is of type float64: expected int64"),
        (lambda file: put(file, "test/labels", [0, 1]), r"test/labels: has shape \(2,\): expected \(7\)"),
        (lambda file: put(file, "test/images", np.zeros((7, 3, 5, 4))), "test/images: is of type float64"),
        (lambda file: put(file, "test/images", np.zeros((7, 3, 5, 9), np.uint8)), "test/images: has shape"),
        (lambda file: put(file, "train/images", np.zeros((0, 3, 5, 4), np.uint8)), "train/images: 0 and 7 images"),
        (_passwords, "test/labels: is stored in another file"),
        (_linked, "test: is a link to elsewhere"),
        (_huge, "train/images: has shape .* can't hold"),
        (_group, "mean: is something else: expected an array"),
        (lambda file: put(file, "mean", [np.nan] * 3), r"mean: \[nan, nan, nan\]: expected 0 to 1"),
        (lambda file: put(file, "classes", [1, 2]), "classes: is of type int64: expected text"),
        (lambda file: file.attrs.update(digest=3), "digest: '3': expected str"),
        (lambda file: file.attrs.update(format_version=99), "format_version: 99: expected"),
    ],
)
def test_what_cannot_be_a_data_set_is_refused_by_file_and_field(tmp_path, change, told):
    datasets.write(tmp_path / "dataset.h5", "cats", *splits(), CLASSES)
    edit(tmp_path / "dataset.h5", change)
    with pytest.raises(ModelstitchError, match=rf"dataset\.h5: {told}") as caught:
        datasets.read(tmp_path / "dataset.h5")
    assert "\n" not in str(caught.value)
