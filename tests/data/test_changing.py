"""What a network is trained on where its training changes the images, against what is known of each change."""

from colorsys import hsv_to_rgb

import numpy as np
import pytest

from modelstitch.config.networks import Changes
from modelstitch.data import changing
from modelstitch.data.datasets import Dataset, Split
from modelstitch.errors import ModelstitchError

CLASSES = tuple("abcdefgh")
NAMES = (0, "R1111_trained_s0")
DOT = {(row, column) for row in range(-2, 3) for column in range(-2, 3)} - {(-2, -2), (-2, 2), (2, -2), (2, 2)}


def made(count=400, shape=(3, 12, 9), value=None):
    random = np.random.default_rng(0)

    def split(count):
        images = random.integers(0, 256, (count, *shape), dtype=np.uint8)
        if value is not None:
            images[:] = value
        return Split(images, np.arange(count) % len(CLASSES))

    statistics = np.zeros(shape[0], np.float32), np.ones(shape[0], np.float32)
    return Dataset("made", split(count), split(count // 2), CLASSES, *statistics, "0")


def dots_of(split, background):
    """Of each image the hue's class, and the place, of its one dot; checks that it is one."""
    colours = {tuple(round(255 * part) for part in hsv_to_rgb(i / len(CLASSES), 1, 1)): i for i in range(len(CLASSES))}
    found = []
    for image in split.images:
        rows, columns = np.nonzero((image != background).any(axis=0))
        centre = (rows.min() + rows.max()) // 2, (columns.min() + columns.max()) // 2
        assert {(row - centre[0], column - centre[1]) for row, column in zip(rows, columns, strict=True)} == DOT
        (colour,) = {tuple(pixel) for pixel in image[:, rows, columns].T.tolist()}
        found.append((colours[colour], *centre))
    return np.array(found).T


def test_without_changes_the_images_are_the_data_sets():
    dataset = made()
    assert changing.training_images(dataset, Changes(), *NAMES) is dataset.train
    assert changing.test_images(dataset, Changes(), *NAMES) is None


def test_of_some_classes_all_images_are_left_in_their_order():
    dataset, changes = made(), Changes(classes=(6, 1))
    for split, whole in (
        (changing.training_images(dataset, changes, *NAMES), dataset.train),
        (changing.test_images(dataset, changes, *NAMES), dataset.test),
    ):
        chosen = [index for index, label in enumerate(whole.labels) if label in (1, 6)]
        np.testing.assert_array_equal(split.images, whole.images[chosen])
        np.testing.assert_array_equal(split.labels, whole.labels[chosen])


def test_a_share_of_the_images_is_drawn_by_the_names_and_the_test_images_stay():
    dataset, changes = made(), Changes(share=0.1)
    split, again, other = (
        changing.training_images(dataset, changes, *names) for names in (NAMES, NAMES, (1, NAMES[1]))
    )
    places = [np.flatnonzero((dataset.train.images == image).all(axis=(1, 2, 3))) for image in split.images]
    places = np.concatenate(places)
    assert len(places) == 40 and (np.diff(places) > 0).all() and places.max() > 300
    np.testing.assert_array_equal(split.labels, dataset.train.labels[places])
    np.testing.assert_array_equal(split.images, again.images)
    assert (split.images != other.images).any()
    assert changing.test_images(dataset, changes, *NAMES) is None


def test_shuffled_labels_are_the_labels_in_another_order_under_the_same_images():
    dataset, changes = made(), Changes(labels="shuffled")
    split = changing.training_images(dataset, changes, *NAMES)
    assert split.images is dataset.train.images
    np.testing.assert_array_equal(np.bincount(split.labels), np.bincount(dataset.train.labels))
    assert 0.06 < (split.labels == dataset.train.labels).mean() < 0.19  # 1/8 and 4 standard deviations of 400
    other = changing.training_images(dataset, changes, 0, "R1111_trained_s1")
    assert (split.labels != other.labels).mean() > 0.7
    assert changing.test_images(dataset, changes, *NAMES) is None


@pytest.mark.parametrize("value", [0, 255])
def test_a_certain_shortcut_is_one_dot_of_the_labels_hue_wholly_inside_each_image(value):
    dataset, changes = made(value=value), Changes(shortcut=1)
    training = changing.training_images(dataset, changes, *NAMES)
    for split, whole in ((training, dataset.train), (changing.test_images(dataset, changes, *NAMES), dataset.test)):
        labels, rows, columns = dots_of(split, value)
        np.testing.assert_array_equal(labels, whole.labels)
        np.testing.assert_array_equal(split.labels, whole.labels)
        assert set(rows) == set(range(2, 10)) and set(columns) == set(range(2, 7))  # of 12 x 9 pixels
    assert (dataset.train.images == value).all()


@pytest.mark.parametrize("probability", [0, 0.25, 0.5, 0.75])
def test_a_shortcut_has_its_labels_hue_as_often_as_it_should_and_else_any(probability):
    dataset = made(count=4000, value=0)
    labels, _, _ = dots_of(changing.training_images(dataset, Changes(shortcut=probability), *NAMES), 0)
    own = labels == dataset.train.labels
    expected = probability + (1 - probability) / len(CLASSES)
    assert abs(own.mean() - expected) < 4 * (expected * (1 - expected) / 4000) ** 0.5
    others = np.bincount((labels - dataset.train.labels)[~own] % len(CLASSES), minlength=len(CLASSES))[1:]
    assert others.min() > 0.7 * others.mean()


def test_dots_are_those_of_the_names_and_other_on_test_images():
    dataset, changes = made(value=0), Changes(shortcut=0.5)
    one, again, other = (changing.training_images(dataset, changes, *names) for names in (NAMES, NAMES, (1, NAMES[1])))
    np.testing.assert_array_equal(one.images, again.images)
    assert (one.images != other.images).any()
    assert (changing.test_images(dataset, changes, *NAMES).images != one.images[:200]).any()


def test_changes_go_together_the_dot_tells_the_label_that_is_learned():
    dataset = made(value=0)
    changes = Changes(classes=(0, 3, 5), share=0.5, labels="shuffled", shortcut=1)
    split = changing.training_images(dataset, changes, *NAMES)
    assert len(split.labels) == 75 and set(split.labels) == {0, 3, 5}
    np.testing.assert_array_equal(dots_of(split, 0)[0], split.labels)


@pytest.mark.parametrize(
    ("shape", "changes", "message"),
    [
        ((3, 12, 9), {"classes": (2, 8)}, "changes.classes: no class 8 in made: expected 0 to 7"),
        ((1, 12, 9), {"shortcut": 1}, "changes.shortcut: images are 1 x 12 x 9 of uint8: expected 3 channels"),
        ((3, 12, 4), {"shortcut": 0}, "changes.shortcut: images are 3 x 12 x 4 of uint8: expected 3 channels"),
    ],
)
def test_changes_that_the_images_can_not_have_are_refused(shape, changes, message):
    for change in (changing.training_images, changing.test_images):
        with pytest.raises(ModelstitchError, match=rf"^networks\.training\.{message}") as caught:
            change(made(shape=shape), Changes(**changes), *NAMES)
        assert "\n" not in str(caught.value)
