"""Data sets of what a notebook has at hand, and what is refused with which message."""

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

from modelstitch.data import datasets
from modelstitch.data.arrays import dataset_of, split_of
from modelstitch.data.datasets import Split
from modelstitch.errors import ModelstitchError

LABELS = np.array([0, 2, 1, 2, 0])


def pixels(count=5, shape=(3, 6, 4), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


class Pictures:
    """As torchvision's data sets are: (image, label) by index, and names of the classes."""

    classes = ("cat", "dog", "größe")

    def __init__(self, images, labels=LABELS):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index], int(self.labels[index])


def refusal(data, name="train"):
    with pytest.raises(ModelstitchError) as caught:
        split_of(data, name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_bytes_give_the_data_set_that_a_file_of_them_gives(digits):
    found = dataset_of(*((split.images, split.labels) for split in (digits.train, digits.test)))
    assert found.classes == digits.classes
    np.testing.assert_array_equal([found.mean, found.std], [digits.mean, digits.std])
    for part, expected in ((found.train, digits.train), (found.test, digits.test)):
        np.testing.assert_array_equal(part.images, expected.images)
        np.testing.assert_array_equal(part.labels, expected.labels)
        assert (part.images.dtype, part.labels.dtype) == (np.uint8, np.int64)


def test_arrays_tensors_a_data_set_and_a_loader_of_torch_give_the_same_split():
    images = pixels()
    tensors = torch.from_numpy(images), torch.from_numpy(LABELS)
    expected = Split(images, LABELS)
    for data in (
        (images, LABELS),
        [images, LABELS],
        (images, LABELS.tolist()),
        tensors,
        TensorDataset(*tensors),
        Pictures(images),
        Pictures(tensors[0]),
        Pictures([Image.fromarray(image.transpose(1, 2, 0)) for image in images]),
        DataLoader(TensorDataset(*tensors), batch_size=2),
        DataLoader(Pictures(images), batch_size=5),
    ):
        found = split_of(data, "train")
        np.testing.assert_array_equal(found.images, expected.images)
        np.testing.assert_array_equal(found.labels, expected.labels)
        assert (found.images.dtype, found.labels.dtype) == (np.uint8, np.int64)


def test_a_tensor_with_a_gradient_is_read():
    images = torch.rand(5, 3, 6, 4, requires_grad=True)
    np.testing.assert_array_equal(split_of((images, LABELS), "train").images, images.detach().numpy())


def test_colours_may_come_last_and_grey_images_may_have_none():
    images = pixels()
    last = split_of((images.transpose(0, 2, 3, 1), LABELS), "train").images
    np.testing.assert_array_equal(last, images)
    assert last.flags.c_contiguous
    grey = pixels(shape=(6, 4))
    for shaped in (grey, grey[:, None], grey[..., None]):
        np.testing.assert_array_equal(split_of((shaped, LABELS), "train").images, grey[:, None])
    np.testing.assert_array_equal(split_of(Pictures(grey), "train").images, grey[:, None])


def test_channels_come_first_where_both_places_could_be_theirs():
    narrow = pixels(shape=(3, 6, 3))
    np.testing.assert_array_equal(split_of((narrow, LABELS), "train").images, narrow)


def test_more_channels_than_colours_stay_where_they_are():
    many = np.random.default_rng(0).normal(size=(5, 7, 6, 4)).astype(np.float32)
    np.testing.assert_array_equal(split_of((many, LABELS), "train").images, many)


def test_numbers_are_kept_in_float32_as_the_networks_take_them():
    images = np.random.default_rng(0).normal(3, 2, (200, 2, 6, 4))
    labels = np.arange(200) % 3
    dataset = dataset_of((images, labels), (images[:50], labels[:50]))
    assert dataset.train.images.dtype == dataset.mean.dtype == dataset.std.dtype == np.float32
    np.testing.assert_array_equal(dataset.train.images, images.astype(np.float32))
    np.testing.assert_allclose(dataset.mean, images.mean(axis=(0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(dataset.std, images.std(axis=(0, 2, 3)), rtol=1e-6)


def test_classes_are_those_that_a_data_set_names_else_as_many_as_there_are_labels():
    images, few = pixels(), np.array([0, 1, 0, 1, 0])
    pair, other = (images, LABELS), (images, few)
    assert dataset_of(pair, other).classes == dataset_of(other, pair).classes == ("0", "1", "2")
    for train in (Pictures(images), DataLoader(Pictures(images), batch_size=2)):
        assert dataset_of(train, other).classes == Pictures.classes
    assert dataset_of(Pictures(images, few), other).classes == Pictures.classes


def test_too_few_names_are_no_names():
    labels = np.array([0, 3, 1, 2, 0])
    assert dataset_of(Pictures(pixels(), labels), (pixels(), LABELS)).classes == ("0", "1", "2", "3")


def test_the_digest_tells_one_pixel_and_one_label():
    def digest(place=None, split=0):
        data = [(pixels(), LABELS.copy()), (pixels(seed=1), LABELS.copy())]
        if place is not None:
            data[split][place].flat[3] ^= 1
        return dataset_of(*data).digest

    digests = {digest(), *(digest(place, split) for place in (0, 1) for split in (0, 1))}
    assert len(digests) == 5 and digest() in digests
    assert {len(one) for one in digests} == {2 * hashlib.sha256().digest_size}


def test_training_and_test_images_of_another_kind_or_shape_are_refused():
    images = pixels()
    with pytest.raises(ModelstitchError) as caught:
        dataset_of((images, LABELS), (pixels(shape=(3, 6, 5)), LABELS))
    assert str(caught.value) == (
        "train images are uint8 (3, 6, 4), test images uint8 (3, 6, 5): expected one kind and shape"
    )
    with pytest.raises(ModelstitchError, match=r"^train images are uint8 .*, test images float32 "):
        dataset_of((images, LABELS), (images / 255, LABELS))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "train: a NoneType: expected (images, labels), or a Dataset or DataLoader of torch"),
        (iter([]), "train: a list_iterator: expected (images, labels), or a Dataset or DataLoader of torch"),
        (
            (pixels(shape=(4,)), LABELS),
            "train: images have shape (5, 4): expected (N, C, H, W), not empty",
        ),
        (
            (np.zeros((0, 3, 6, 4), np.uint8), np.zeros(0, np.int64)),
            "train: images have shape (0, 3, 6, 4): expected (N, C, H, W), not empty",
        ),
        (
            (pixels().astype(np.int64), LABELS),
            "train: images are int64: expected bytes (uint8) or floating-point numbers",
        ),
        (
            (np.full((5, 3, 6, 4), np.nan), LABELS),
            "train: images have numbers that are not finite",
        ),
        (
            (pixels(), LABELS[:4]),
            "train: labels are int64 (4,): expected 5 whole numbers, one for each image",
        ),
        (
            (pixels(), LABELS.astype(np.float32)),
            "train: labels are float32 (5,): expected 5 whole numbers, one for each image",
        ),
        (
            (pixels(), np.eye(3, dtype=np.int64)[LABELS]),
            "train: labels are int64 (5, 3): expected 5 whole numbers, one for each image",
        ),
        ((pixels(), LABELS - 1), "train: a label is -1: expected 0 and more"),
    ],
)
def test_what_is_no_split_is_refused_with_what_was_expected(data, message):
    assert refusal(data) == message


def test_a_refusal_names_the_split():
    with pytest.raises(ModelstitchError, match=r"^test: a label is -1"):
        dataset_of((pixels(), LABELS), (pixels(), LABELS - 1))


def test_a_data_set_without_images_is_refused_in_words():
    empty = TensorDataset(torch.zeros(0, 3, 6, 4), torch.zeros(0, dtype=torch.int64))
    for data in (empty, DataLoader(empty, batch_size=2)):
        assert "expected (N, C, H, W), not empty" in refusal(data)


def test_images_of_different_sizes_are_refused_in_words():
    ragged = Pictures([pixels(1, shape=(3, 6, side))[0] for side in (4, 5, 4, 4, 4)])
    assert refusal(ragged).startswith("train: images")


def test_what_is_at_hand_can_be_written_and_read_as_a_data_set(tmp_path):
    dataset = dataset_of((pixels(), LABELS), (pixels(seed=1), LABELS))
    datasets.write(tmp_path / "dataset.h5", dataset.name, dataset.train, dataset.test, dataset.classes)
    found = datasets.read(tmp_path / "dataset.h5")
    np.testing.assert_array_equal(found.train.images, dataset.train.images)
    np.testing.assert_array_equal([found.mean, found.std], [dataset.mean, dataset.std])


class Endless(torch.utils.data.IterableDataset):
    """Images and labels one after the other, of a length that nobody tells."""

    def __iter__(self):
        return iter([(torch.zeros(1, 4, 4), 0), (torch.ones(1, 4, 4), 1)])


def test_a_loader_that_does_not_know_its_length_is_read():
    split = dataset_of(DataLoader(Endless()), DataLoader(Endless())).train
    assert split.images.shape == (2, 1, 4, 4) and split.labels.tolist() == [0, 1]


def test_items_that_are_no_pairs_are_refused():
    assert refusal([{"image": np.zeros((1, 4, 4)), "label": 0}]) == (
        "train: gives a dict: expected (image, label), in this order"
    )
