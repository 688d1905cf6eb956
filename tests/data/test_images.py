import dataclasses

import numpy as np
import pytest
import torch

from modelstitch.config.section import Augmentation
from modelstitch.data.datasets import Dataset, Split
from modelstitch.data.images import EVALUATION_BATCH, DeviceImages, augment, drawn
from modelstitch.errors import ModelstitchError
from tests.settings import small_resnet

NOTHING = Augmentation(flip=False, shift=0, cutout=0)
JUST_BELOW_ONE = 1 - 2**-24


def augmented_slowly(image, draws, augmentation, mean):
    """One image (C, H, W): shifted, flipped, and a square of it cut; what is missing is the mean colour (C, 1, 1)."""
    _, height, width = image.shape
    result = image.copy()
    shift, cutout = augmentation.shift, augmentation.cutout
    if shift:
        down, right = (int(draw * np.float32(2 * shift + 1)) - shift for draw in draws[1:3])
        result = np.broadcast_to(mean, image.shape).copy()
        for row in range(height):
            for column in range(width):
                if 0 <= row + down < height and 0 <= column + right < width:
                    result[:, row, column] = image[:, row + down, column + right]
    if augmentation.flip and draws[0] < 0.5:
        result = result[:, :, ::-1].copy()
    if cutout:
        top = int(draws[3] * np.float32(height - cutout + 1))
        left = int(draws[4] * np.float32(width - cutout + 1))
        result[:, top : top + cutout, left : left + cutout] = mean
    return result


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize(("shift", "cutout"), [(2, 4), (0, 0), (3, 0), (0, 5)])
def test_augmentation_is_that_of_a_loop_over_images(flip, shift, cutout):
    generator = torch.Generator().manual_seed(0)
    images, mean = torch.rand(40, 3, 9, 12, generator=generator), torch.tensor([0.2, 0.5, 0.7]).reshape(1, 3, 1, 1)
    draws = torch.rand(40, 5, generator=generator)
    draws[0], draws[1], draws[2] = 0, JUST_BELOW_ONE, 0.5
    augmentation = Augmentation(flip=flip, shift=shift, cutout=cutout)
    found = augment(images, draws, augmentation, mean).numpy()
    for image, numbers, result in zip(images.numpy(), draws.numpy(), found, strict=True):
        np.testing.assert_array_equal(result, augmented_slowly(image, numbers, augmentation, mean[0].numpy()))


def test_what_is_missing_of_an_augmented_image_is_zero_once_it_is_normalised(digits):
    images, augmentation = DeviceImages(digits, digits.train), Augmentation(flip=True, shift=3, cutout=5)
    batch = images.scaled(slice(20))
    draws = torch.rand(20, 5, generator=torch.Generator().manual_seed(0))
    std = torch.from_numpy(digits.std).reshape(1, -1, 1, 1)
    expected = augment((batch - images.mean) / std, draws, augmentation, torch.zeros(1, 1, 1, 1))
    found = (augment(batch, draws, augmentation, images.mean) - images.mean) / std
    torch.testing.assert_close(found, expected)
    assert (found == 0).any(dim=(1, 2, 3)).all()


def test_half_of_the_images_are_flipped_and_none_where_flip_is_off():
    images = torch.arange(4.0).expand(1000, 1, 2, 4)
    draws = torch.rand(1000, 5, generator=torch.Generator().manual_seed(0))
    for flip, low, high in ((True, 450, 550), (False, 0, 0)):
        found = augment(images, draws, Augmentation(flip=flip, shift=0, cutout=0), torch.zeros(1, 1, 1, 1))
        assert low <= (found[:, 0, 0, 0] == 3).sum() <= high
    assert torch.equal(found, images)


def test_training_images_have_zero_mean_and_unit_deviation(digits):
    network = dataclasses.replace(small_resnet(), mean=digits.mean, std=digits.std)
    images = network.prepared(DeviceImages(digits, digits.train).scaled(slice(None)))
    assert abs(images.mean()) < 1e-4 and abs(images.std() - 1) < 1e-4


def test_bytes_are_scaled_to_1_and_numbers_stay_as_they_are(few_digits):
    split = few_digits.train
    images = DeviceImages(few_digits, split).scaled(slice(None))
    assert (images.dtype, images.min(), images.max()) == (torch.float32, 0, 1)
    np.testing.assert_allclose(images.numpy(), split.images / np.float32(255))
    numbers = np.random.default_rng(0).normal(size=(7, 2, 4, 5)).astype(np.float32)
    labels, ones = np.arange(7), np.ones(2, np.float32)
    dataset = Dataset("numbers", Split(numbers, labels), Split(numbers, labels), tuple("abcdefg"), ones, ones, "")
    found = DeviceImages(dataset, dataset.train).scaled(torch.tensor([5, 0]))
    np.testing.assert_array_equal(found.numpy(), numbers[[5, 0]])
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_an_evaluation_sees_every_image_once_in_order(digits):
    images = DeviceImages(digits, digits.train)
    assert len(images) % EVALUATION_BATCH
    batches = list(images.in_order())
    assert [len(batch) for batch, _ in batches] == [500, 500, 437]
    assert torch.equal(torch.cat([labels for _, labels in batches]), torch.from_numpy(digits.train.labels))
    assert torch.equal(torch.cat([batch for batch, _ in batches]), images.scaled(slice(None)))


def test_an_epoch_is_full_batches_of_different_images_with_their_labels(few_digits):
    images = DeviceImages(few_digits, few_digits.train)
    batches = list(images.shuffled(50, 3, NOTHING))
    assert [len(batch) for batch, _ in batches] == [50] * 4
    everything = {image.numpy().tobytes(): label for image, label in zip(*next(images.in_order()), strict=True)}
    seen = [
        (image.numpy().tobytes(), label)
        for batch, labels in batches
        for image, label in zip(batch, labels, strict=True)
    ]
    assert all(everything[image] == label for image, label in seen)
    assert len({image for image, _ in seen}) == 200


def test_the_seed_alone_determines_an_epoch(few_digits):
    images = DeviceImages(few_digits, few_digits.train)
    first, again, other = (
        torch.cat([batch for batch, _ in images.shuffled(50, seed, Augmentation(flip=True, shift=2, cutout=4))])
        for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", ["shift", "cutout"])
def test_an_augmentation_that_leaves_nothing_of_an_image_is_refused(few_digits, name):
    images = DeviceImages(few_digits, few_digits.train)
    next(images.shuffled(5, 0, NOTHING.model_copy(update={name: 31})))
    with pytest.raises(ModelstitchError, match=f"augmentation.{name}: 32 leaves nothing of images of 32 x 32 pixels"):
        next(images.shuffled(5, 0, NOTHING.model_copy(update={name: 32})))


def test_images_are_drawn_by_the_seed_each_once():
    chosen = drawn(50, 20, 3)
    assert len(set(chosen.tolist())) == 20 and set(chosen.tolist()) < set(range(50))
    assert torch.equal(chosen, drawn(50, 20, 3)) and not torch.equal(chosen, drawn(50, 20, 4))
    assert sorted(drawn(5, 20, 3).tolist()) == list(range(5))
