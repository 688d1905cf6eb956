"""MNIST, Fashion-MNIST, SVHN and STL-10 from files in their own formats, and what is told of damaged ones."""

import gzip
import hashlib
import io
import struct
import tarfile

import numpy as np
import pytest
import scipy.io
from torchvision.datasets import MNIST, STL10, SVHN, FashionMNIST

from modelstitch.config.dataset import Published
from modelstitch.data import datasets, sources
from modelstitch.data.sources import mnist, stl10, svhn
from modelstitch.errors import ModelstitchError

NAMES = tuple(sources.PUBLISHED)
COUNTS = {"train": 12, "test": 7}


def made(image, seed=0):
    """Images (N, *image) and labels, of each class at least one where there are enough."""
    random = np.random.default_rng(seed)
    return {
        split: (random.integers(0, 256, (count, *image), dtype=np.uint8), np.arange(count, dtype=np.uint8) % 10)
        for split, count in COUNTS.items()
    }


def idx(values):
    """The bytes of an array as MNIST has them: unsigned bytes, the sizes big-endian before them."""
    return (
        struct.pack(">BBBB", 0, 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()
    )


def write_mnist(folder, reader):
    """Its four files, and a reader that knows them."""
    contents = made((28, 28))
    arrays = [values for split in ("train", "test") for values in contents[split]]
    for (name, _), values in zip(reader.resources, arrays, strict=True):
        (folder / name).write_bytes(gzip.compress(idx(values)))
    return contents


@pytest.mark.parametrize("reader", [MNIST, FashionMNIST])
def test_the_files_of_mnist_become_grayscale_splits(tmp_path, reader):
    contents = write_mnist(tmp_path, reader)
    for split, name in zip(mnist.read(reader, tmp_path), ("train", "test"), strict=True):
        np.testing.assert_array_equal(split.images, contents[name][0][:, None])
        np.testing.assert_array_equal(split.labels, contents[name][1])
        assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int64)


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("train-images-idx3-ubyte.gz", lambda whole: whole[:-40], "train-images-idx3-ubyte.gz: can't be unpacked"),
        ("t10k-labels-idx1-ubyte.gz", lambda whole: b"damaged", "t10k-labels-idx1-ubyte.gz: can't be unpacked"),
        ("train-labels-idx1-ubyte.gz", lambda whole: gzip.compress(b""), "not the files that torchvision's MNIST"),
        (
            "train-images-idx3-ubyte.gz",
            lambda whole: gzip.compress(gzip.decompress(whole)[:-5]),
            "not the files that torchvision's MNIST expects",
        ),
    ],
)
def test_a_damaged_file_of_mnist_is_told_in_one_line(tmp_path, name, damage, message):
    write_mnist(tmp_path, MNIST)
    path = tmp_path / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelstitchError) as caught:
        mnist.read(MNIST, tmp_path)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def write_svhn(folder):
    """Its two files, and a reader that expects their checksums; a 0 is labelled 10, as published."""
    contents, checksums = made((32, 32, 3)), {}
    for split, (images, labels) in contents.items():
        path = folder / f"{split}_32x32.mat"
        published = np.where(labels == 0, 10, labels).reshape(-1, 1)
        scipy.io.savemat(path, {"X": images.transpose(1, 2, 3, 0), "y": published})
        checksums[split] = ["http://127.0.0.1:1/", path.name, hashlib.md5(path.read_bytes()).hexdigest()]
    return contents, type("Small", (SVHN,), {"split_list": checksums})


def test_the_files_of_svhn_become_splits_in_which_a_0_is_class_0(tmp_path):
    contents, small = write_svhn(tmp_path)
    for split, name in zip(svhn.read(small, tmp_path), ("train", "test"), strict=True):
        np.testing.assert_array_equal(split.images, contents[name][0].transpose(0, 3, 1, 2))
        np.testing.assert_array_equal(split.labels, contents[name][1])
        assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int64) and split.images.flags.c_contiguous


def test_a_damaged_file_of_svhn_is_told_in_one_line(tmp_path):
    _, small = write_svhn(tmp_path)
    path = tmp_path / "test_32x32.mat"
    path.write_bytes(path.read_bytes()[:2000])
    expected = r"not the files that torchvision's Small expects \(.*corrupted.*\): replace them"
    with pytest.raises(ModelstitchError, match=expected):
        svhn.read(small, tmp_path)
    small.split_list["test"][2] = hashlib.md5(path.read_bytes()).hexdigest()
    with pytest.raises(ModelstitchError, match="not the files that torchvision's Small expects") as caught:
        svhn.read(small, tmp_path)
    assert "\n" not in str(caught.value)


def write_stl10(folder):
    """A small archive in its layout, and a reader that expects its checksums; a map is stored by columns."""
    contents = made((3, 96, 96))
    names = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]
    members = {"class_names.txt": "\n".join(names).encode() + b"\n", "unlabeled_X.bin": bytes(3 * 96 * 96)}
    for split, (images, labels) in contents.items():
        members[f"{split}_X.bin"] = np.ascontiguousarray(images.transpose(0, 1, 3, 2)).tobytes()
        members[f"{split}_y.bin"] = (labels + 1).tobytes()
    path = folder / STL10.filename
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(f"{STL10.base_folder}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in members.items()}
    lists = {
        "train_list": [[name, md5[name]] for name in ("train_X.bin", "train_y.bin")],
        "test_list": [[name, md5[name]] for name in ("test_X.bin", "test_y.bin")],
    }
    return path, contents, type("Small", (STL10,), lists), tuple(names)


def test_the_labelled_images_of_stl10_become_splits(tmp_path):
    path, contents, small, names = write_stl10(tmp_path)
    *splits, classes = stl10.read(small, path)
    assert classes == names
    for split, name in zip(splits, ("train", "test"), strict=True):
        np.testing.assert_array_equal(split.images, contents[name][0])
        np.testing.assert_array_equal(split.labels, contents[name][1])
        assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int64)


def test_the_unlabelled_images_of_stl10_are_never_unpacked():
    names = [name for name, _ in stl10.reader_of().train_list]
    assert names == ["train_X.bin", "train_y.bin"] and len(STL10.train_list) == 3


def test_a_damaged_archive_of_stl10_is_told_in_one_line(tmp_path):
    path, _, small, _ = write_stl10(tmp_path)
    wrong = type("Small", (small,), {"test_list": [["test_X.bin", "0" * 32], small.test_list[1]]})
    with pytest.raises(ModelstitchError, match=r"a file in it is not what torchvision's Small expects"):
        stl10.read(wrong, path)
    more = type("Small", (small,), {"test_list": [["extra_X.bin", "0" * 32], small.test_list[1]]})
    with pytest.raises(ModelstitchError, match=r"lacks stl10_binary/extra_X\.bin"):
        stl10.read(more, path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ModelstitchError, match=r"stl10_binary\.tar\.gz: can't be unpacked") as caught:
        stl10.read(small, path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("source", NAMES)
def test_every_published_file_is_named_as_torchvision_names_it_and_none_is_anothers(source, tmp_path):
    settings = {"source": source, "folder": str(tmp_path)}
    files = sources.published_files(settings)
    assert sources.input_files(settings) == files
    assert [file.name for file in files] == [archive.filename for archive in sources.PUBLISHED[source].archives(source)]
    assert len({file.parent for file in files}) == 1
    others = [sources.published_files(settings | {"source": other}) for other in NAMES if other != source]
    assert not {*files} & {file for other in others for file in other}


@pytest.mark.parametrize("source", NAMES)
def test_a_damaged_published_file_is_refused_and_nothing_is_written(source, tmp_path):
    settings = {"source": source, "folder": str(tmp_path)}
    for file in sources.published_files(settings):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"damaged")
    with pytest.raises(ModelstitchError, match=r"MD5 is \w+, expected \w+: not the published archive") as caught:
        sources.prepare(settings, tmp_path / "dataset.h5")
    assert "\n" not in str(caught.value) and not (tmp_path / "dataset.h5").exists()
    for file in sources.published_files(settings):
        with pytest.raises(ModelstitchError, match=f"{file.name}: MD5 is"):
            sources.fetch(settings, file)


def test_the_study_file_knows_every_published_source():
    assert set(NAMES) == set(Published.model_fields["source"].annotation.__args__)


def test_grayscale_digits_become_a_data_set(tmp_path, monkeypatch):
    """The whole way of a source whose files have the checksums that their reader expects."""
    folder = tmp_path / mnist.FOLDERS["fashion-mnist"]
    folder.mkdir(parents=True)
    write_mnist(folder, FashionMNIST)
    resources = [(name, hashlib.md5((folder / name).read_bytes()).hexdigest()) for name, _ in FashionMNIST.resources]
    monkeypatch.setattr(FashionMNIST, "resources", resources)
    sources.prepare({"source": "fashion-mnist", "folder": str(tmp_path)}, tmp_path / "dataset.h5")
    dataset = datasets.read(tmp_path / "dataset.h5")
    assert (dataset.name, dataset.classes[0], len(dataset.classes)) == ("fashion-mnist", "T-shirt/top", 10)
    assert datasets.read_sizes(tmp_path / "dataset.h5") == ((1, 28, 28), 12, 7, 10)
