import hashlib
import io
import pickle
import tarfile

import numpy as np
import pytest
from torchvision.datasets import CIFAR10, CIFAR100

from modelstitch.data import datasets, sources
from modelstitch.data.sources import cifar, download
from modelstitch.errors import ModelstitchError


def make_archive(folder, reader, labels_key, classes, per_batch=4):
    """A small archive in the layout of the published one, and a reader that expects its checksums."""
    random = np.random.default_rng(0)
    contents, images, labels = {}, {}, {}
    for name, _ in reader.train_list + reader.test_list:
        images[name] = random.integers(0, 256, (per_batch, 3, 32, 32), dtype=np.uint8)
        labels[name] = random.integers(0, len(classes), per_batch).tolist()
        contents[name] = pickle.dumps({"data": images[name].reshape(per_batch, -1), labels_key: labels[name]})
    contents[reader.meta["filename"]] = pickle.dumps({reader.meta["key"]: list(classes)})
    path = folder / reader.filename
    with tarfile.open(path, "w:gz") as tar:
        for name, content in {**contents, "readme.html": b"a page"}.items():
            member = tarfile.TarInfo(f"{reader.base_folder}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in contents.items()}

    checksums = {
        "url": "http://127.0.0.1:1/",
        "tgz_md5": hashlib.md5(path.read_bytes()).hexdigest(),
        "train_list": [[name, md5[name]] for name, _ in reader.train_list],
        "test_list": [[name, md5[name]] for name, _ in reader.test_list],
        "meta": reader.meta | {"md5": md5[reader.meta["filename"]]},
    }
    return path, type("Small", (reader,), checksums), images, labels


@pytest.mark.parametrize(
    ("reader", "labels_key", "classes"),
    [(CIFAR10, "labels", "abcdefghij"), (CIFAR100, "fine_labels", [f"class {index}" for index in range(100)])],
)
def test_batches_become_splits_in_their_order(tmp_path, reader, labels_key, classes):
    path, small, images, labels = make_archive(tmp_path, reader, labels_key, classes)
    archive = download.fetch(cifar.archive_of(small), tmp_path)
    assert archive == path
    train, test, found = cifar.read(small, archive)
    assert found == tuple(classes)
    for split, batches in ((train, reader.train_list), (test, reader.test_list)):
        np.testing.assert_array_equal(split.images, np.concatenate([images[name] for name, _ in batches]))
        np.testing.assert_array_equal(split.labels, np.concatenate([labels[name] for name, _ in batches]))
    datasets.write(tmp_path / "dataset.h5", "small", train, test, found)
    assert datasets.read(tmp_path / "dataset.h5").train.images.shape == (4 * len(reader.train_list), 3, 32, 32)


def test_a_batch_with_another_checksum_is_not_opened(tmp_path):
    path, small, _, _ = make_archive(tmp_path, CIFAR10, "labels", "abcdefghij")
    small.train_list = [["data_batch_1", "0" * 32], *small.train_list[1:]]
    with pytest.raises(ModelstitchError, match=rf"{CIFAR10.filename}: a batch in it does not have the checksum"):
        cifar.read(small, path)


def test_an_archive_without_a_batch_is_refused_by_its_name(tmp_path):
    path, small, _, _ = make_archive(tmp_path, CIFAR10, "labels", "abcdefghij")
    small.test_list = [["test_batch_2", "0" * 32]]
    with pytest.raises(ModelstitchError, match=r"lacks cifar-10-batches-py/test_batch_2"):
        cifar.read(small, path)


def test_an_archive_that_is_none_is_refused(tmp_path):
    path, small, _, _ = make_archive(tmp_path, CIFAR10, "labels", "abcdefghij")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ModelstitchError, match=rf"{CIFAR10.filename}: can't be unpacked"):
        cifar.read(small, path)


def test_an_unpacked_archive_is_read_as_the_archive_and_no_batch_unchecked(tmp_path):
    path, small, _, _ = make_archive(tmp_path, CIFAR10, "labels", "abcdefghij")
    expected = cifar.read(small, path)
    with tarfile.open(path) as tar:
        tar.extractall(tmp_path, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    for split, whole in zip(cifar.read_extracted(small, tmp_path)[:2], expected[:2], strict=True):
        np.testing.assert_array_equal(split.images, whole.images)
        np.testing.assert_array_equal(split.labels, whole.labels)
    batch = tmp_path / CIFAR10.base_folder / "data_batch_3"
    batch.write_bytes(b"cos\nsystem\n(S'touch unpickled'\ntR.")
    with pytest.raises(ModelstitchError, match=rf"{CIFAR10.base_folder}: a batch in it does not have the checksum"):
        cifar.read_extracted(small, tmp_path)
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.parametrize(("source", "reader"), [("cifar10", CIFAR10), ("cifar100", CIFAR100)])
def test_an_unpacked_archive_serves_where_the_archive_is_not_there_and_all_of_it_is(source, reader, tmp_path):
    settings = {"source": source, "folder": str(tmp_path)}
    batches = [name for name, _ in (*reader.train_list, *reader.test_list)] + [reader.meta["filename"]]
    for name in batches:
        assert sources.published_files(settings) == [tmp_path / reader.filename]
        (tmp_path / reader.base_folder).mkdir(exist_ok=True)
        (tmp_path / reader.base_folder / name).write_bytes(b"")
    assert set(sources.input_files(settings)) == {tmp_path / reader.base_folder / name for name in batches}
    with pytest.raises(ModelstitchError, match=rf"{reader.base_folder}: a batch in it does not have the checksum"):
        sources.prepare(settings, tmp_path / "dataset.h5")
    (tmp_path / reader.filename).write_bytes(b"damaged")
    assert sources.published_files(settings) == [tmp_path / reader.filename]


@pytest.mark.parametrize("source", ["cifar10", "cifar100"])
def test_the_archive_is_named_as_torchvision_names_it(source, tmp_path):
    settings = {"source": source, "folder": str(tmp_path)}
    (archive,) = cifar.archives(source)
    assert sources.input_files(settings) == sources.published_files(settings) == [tmp_path / archive.filename]


@pytest.mark.parametrize("source", ["cifar10", "cifar100"])
def test_a_damaged_archive_is_refused_and_nothing_is_written(source, tmp_path):
    settings = {"source": source, "folder": str(tmp_path)}
    cifar.files(settings)[0].write_bytes(b"damaged")
    with pytest.raises(ModelstitchError, match=r"python\.tar\.gz: MD5 is \w+, expected \w+: not the published archive"):
        sources.prepare(settings, tmp_path / "dataset.h5")
    assert not (tmp_path / "dataset.h5").exists()
