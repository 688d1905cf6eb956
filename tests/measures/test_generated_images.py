"""Images from stitches into the receiver's input, and their figures."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from modelstitch import records
from modelstitch.analysis import tables
from modelstitch.data.datasets import Split
from modelstitch.data.images import DeviceImages
from modelstitch.errors import ModelstitchError
from modelstitch.figures import generated_images as figures
from modelstitch.fitting.pair import train_pair
from modelstitch.measures import generated_images
from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.records import images
from modelstitch.stitches.families.linear import LinearMap, Stitch
from modelstitch.stitches.geometry import Geometry
from tests.devices import exhausted, limited
from tests.figures.drawn import boxes, texts
from tests.measures.pairs import CLOSED
from tests.settings import stitch_settings
from tests.stitches.made import identity

PAIR = ("R1111_trained_s0", "R1111_random_s0")
NETWORKS = pd.DataFrame({"network": PAIR, "classes": 10})


def into_input(sender, receiver, dataset, objective, settings):
    about = {"objective": objective, "study_seed": 0, "receiver_layers": [-1]}
    record, stitches = train_pair(sender, receiver, dataset, settings, **about)
    return stitches, record


@pytest.fixture(scope="module")
def trained_for(few_digits, trained, random_networks):
    """Stitches and record of the trained network to a random one, by objective."""
    settings = {"task": stitch_settings(), "similarity": CLOSED}
    return {name: into_input(trained, random_networks[1], few_digits, name, settings[name]) for name in settings}


@pytest.fixture(scope="module")
def measured(few_digits, trained, random_networks, trained_for):
    """The table and images of both objectives; PSNR and SSIM over 40 images, 13 of them shown."""
    return {
        name: generated_images.measure_pair(trained, random_networks[1], few_digits, *made, images=40, shown=13)
        for name, made in trained_for.items()
    }


def one_layer(stitch: Stitch, layer, record):
    """Stitches and a record of one sender layer, whose stitch is given."""
    column = record.columns[0]
    row = slice(column.sender_layers.index(max(layer, 0)), column.sender_layers.index(max(layer, 0)) + 1)
    names = (
        "test_accuracy",
        "test_loss",
        "agreement",
        "train_accuracy",
        "train_loss",
        "predictions",
        "diverged",
        "reason",
    )
    cells = {name: getattr(column, name)[row] for name in names}
    only = records.Column(receiver_layer=-1, sender_layers=(layer,), test_images=column.test_images, **cells)
    return {(layer, -1): stitch}, replace(record, columns=(only,))


def test_an_identity_gives_the_image_itself(digits, trained, trained_for):
    shape = FrozenNetwork(trained).shapes[-1]
    made = one_layer(identity(Geometry.between(shape, shape)), -1, trained_for["task"][1])
    table, shown = generated_images.measure_pair(trained, trained, digits, *made, images=20, shown=10)
    row = table.iloc[0]
    assert (row.sender_layer, row.sender_layer_name) == (-1, "image")
    assert row.psnr == np.inf and row.ssim == 1 and row.agreement == 1 and row.clipped == 0
    assert row.read_by_receiver == row.read_by_sender == trained.about["accuracy"]
    np.testing.assert_array_equal(shown.generated[0], shown.originals)


def test_a_stitch_of_zeros_gives_the_mean_colour(few_digits, trained, random_networks, trained_for):
    shapes = FrozenNetwork(trained).shapes
    zeros = LinearMap(torch.zeros(1, 32), torch.zeros(1))
    nothing = Stitch(Geometry.between(shapes[4], shapes[-1]), (zeros,))
    made = one_layer(nothing, 4, trained_for["task"][1])
    table, shown = generated_images.measure_pair(trained, random_networks[1], few_digits, *made, images=40, shown=10)
    colour = round(255 * random_networks[1].mean[0])
    assert 0 < colour < 255 and (shown.generated == colour).all()
    most_frequent = np.bincount(few_digits.test.labels).max() / 101
    assert table.iloc[0].read_by_receiver <= most_frequent  # all images are the same to it


@pytest.mark.parametrize("objective", ["task", "similarity"])
def test_numbers_are_those_of_the_images_made_one_layer_at_a_time(
    few_digits, trained, random_networks, trained_for, measured, objective
):
    (stitches, record), (table, shown) = trained_for[objective], measured[objective]
    sender, receiver = FrozenNetwork(trained), FrozenNetwork(random_networks[1])
    images = DeviceImages(few_digits, few_digits.test)
    inputs, labels = images.scaled(slice(None)), few_digits.test.labels
    maps, (mean,), (std,) = sender.representations(inputs), receiver.source.mean, receiver.source.std
    indices = generated_images.choose(few_digits.test, 13)
    np.testing.assert_array_equal(shown.originals, few_digits.test.images[indices])
    for i, row in enumerate(table.itertuples()):
        raw = stitches[i, -1](maps[i]).detach()
        pixels = (255 * (raw * std + mean)).numpy()
        rounded = np.rint(np.clip(pixels, 0, 255))
        assert np.abs(rounded[indices] - shown.generated[i]).max() <= 1  # of another order of summation
        errors = np.square(rounded[:40] - few_digits.test.images[:40]).mean(axis=(1, 2, 3))
        assert row.psnr == pytest.approx(np.mean(10 * np.log10(255**2 / errors)), abs=1e-3)
        assert row.clipped == pytest.approx(((pixels < -0.5) | (pixels > 255.5)).mean(), abs=1e-4)
        seen = torch.from_numpy(rounded) / 255
        for name, network in (("read_by_receiver", receiver), ("read_by_sender", sender)):
            accuracy = (network(seen).argmax(dim=1).numpy() == labels).mean()
            assert getattr(row, name) == pytest.approx(accuracy, abs=0.011)  # one image of 101
        same = (receiver(seen).argmax(dim=1) == receiver(inputs).argmax(dim=1)).float().mean().item()
        assert row.agreement == pytest.approx(same, abs=0.011)
        unclipped = (receiver.suffix(-1, raw).argmax(dim=1).numpy() == labels).mean()
        assert row.read_unclipped == record.columns[0].test_accuracy[i] == pytest.approx(unclipped, abs=0.011)


def test_exhausted_memory_halves_the_batches_and_changes_no_image(
    few_digits, trained, random_networks, trained_for, measured, monkeypatch, caplog
):
    caplog.set_level("INFO")
    networks = (trained, random_networks[1], few_digits)
    monkeypatch.setattr(Stitch, "__call__", limited(Stitch.__call__, 30))
    table, shown = generated_images.measure_pair(*networks, *trained_for["task"], images=40, shown=13)
    pd.testing.assert_frame_equal(table, measured["task"][0], rtol=1e-6)
    np.testing.assert_array_equal(shown.generated, measured["task"][1].generated)
    assert "a batch has 25 images" in caplog.text
    monkeypatch.setattr(Stitch, "__call__", exhausted)
    with pytest.raises(ModelstitchError, match=r"^the device's memory is exhausted: lower the networks' size$"):
        generated_images.measure_pair(*networks, *trained_for["task"], images=40, shown=13)


def test_reconstructions_are_nearer_than_task_images_and_best_from_the_stem(measured):
    task, similar = (measured[name][0] for name in ("task", "similarity"))
    assert similar.psnr[0] > similar.psnr[4] + 3 and similar.ssim[0] > similar.ssim[4] + 0.1
    assert (similar.psnr > task.psnr).all()
    assert (similar.objective == "similarity").all() and (similar.images == 40).all()


def test_similarity_is_that_of_wang_et_al():
    """One window of 11 x 11 pixels, whose index is the formula of doi 10.1109/TIP.2003.819861."""
    one, other = np.random.default_rng(0).integers(0, 256, (2, 1, 3, 11, 11), dtype=np.uint8)
    distances = np.arange(-5, 6) ** 2
    window = np.exp(-(distances[:, None] + distances) / (2 * 1.5**2))
    window /= window.sum()

    def weighted(values):
        return (window * values).sum(axis=(1, 2))

    a, b = one[0].astype(float), other[0].astype(float)
    means = weighted(a), weighted(b)
    variances = weighted(a * a) - means[0] ** 2, weighted(b * b) - means[1] ** 2
    covariance = weighted(a * b) - means[0] * means[1]
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    index = (2 * means[0] * means[1] + c1) * (2 * covariance + c2)
    index /= (means[0] ** 2 + means[1] ** 2 + c1) * (sum(variances) + c2)
    assert generated_images.compare(one, other)[1] == pytest.approx(index.mean(), abs=1e-9)
    assert np.isnan(generated_images.compare(one[..., :10], other[..., :10])[1])


def test_shown_images_are_of_each_class_in_turn():
    labels = np.array([2, 2, 0, 2, 1, 0, 2])
    test = Split(np.zeros((7, 1, 1, 1), np.uint8), labels)
    assert generated_images.choose(test, 5).tolist() == [2, 4, 0, 5, 1]
    assert generated_images.choose(test, 99).tolist() == [2, 4, 0, 5, 1, 3, 6]


def test_a_diverged_stitch_has_no_numbers(tmp_path, few_digits, trained, random_networks, trained_for):
    stitches, record = trained_for["task"]
    stitch = stitches[2, -1]
    broken = Stitch(stitch.geometry, (LinearMap(stitch.maps[0].weight * np.nan, stitch.maps[0].bias),))
    made, record = one_layer(broken, 2, record)
    column = record.columns[0]
    failed = {"test_accuracy": np.array([np.nan]), "diverged": np.array([True]), "reason": ("not finite",)}
    record = replace(record, columns=(replace(column, **failed),))
    table, shown = generated_images.measure_pair(
        trained, random_networks[1], few_digits, made, record, images=9, shown=2
    )
    assert table[list(generated_images.METRICS)].isna().all(axis=None) and table.sender_layer.tolist() == [2]
    assert (shown.generated == 0).all()
    images.write(tmp_path / "images.h5", shown)
    tables.write_csv(table, tmp_path / "table.csv")
    figure = figures.draw_images(tables.read_all([tmp_path / "table.csv"]), {"task": tmp_path / "images.h5"}, *PAIR)
    assert len(figure.axes[0].patches) == 2 and len(figure.axes[0].images) == 2  # hatched, below the originals


@pytest.fixture(scope="module")
def study(tmp_path_factory, measured):
    """A study's table, and the folder of its images."""
    folder = tmp_path_factory.mktemp("generated_images")
    paths = []
    for objective, (table, shown) in measured.items():
        images.write(folder / f"images/{objective}/{PAIR[0]}/{PAIR[1]}.h5", shown)
        paths.append(folder / f"{objective}.csv")
        tables.write_csv(table, paths[-1])
    return tables.read_all(paths), folder


def test_the_table_names_recipes_and_layers_and_is_read_back_as_written(study, measured):
    table, _ = study
    assert len(table) == 10 and list(table.objective.unique()) == ["task", "similarity"]
    assert set(table.sender_recipe) == {"trained"} and set(table.receiver_recipe) == {"random"}
    assert table.sender_layer_name.tolist() == [f"layers.{layer}" for layer in table.sender_layer]
    expected = pd.concat([measured[name][0] for name in ("task", "similarity")], ignore_index=True)
    pd.testing.assert_frame_equal(table[list(generated_images.COLUMNS)], expected)


def test_a_figure_shows_the_originals_and_each_layers_images_and_numbers(study, measured):
    table, folder = study
    files = {objective: folder / f"images/{objective}/{PAIR[0]}/{PAIR[1]}.h5" for objective in measured}
    axes = figures.draw_images(table, files, *PAIR).axes[0]
    shown = [measured[name][1] for name in ("task", "similarity")]
    expected = np.concatenate([shown[0].originals[None], shown[0].generated, shown[1].generated])[:, :, 0]
    first = min(image.get_extent()[0] for image in axes.images)
    rows = sorted({image.get_extent()[3] for image in axes.images})
    assert len(rows) == 11 and len(axes.images) == 11 * 13
    for image in axes.images:
        left, _, _, top = image.get_extent()
        place = round((left - first) / (figures.IMAGE + figures.GAP))
        np.testing.assert_array_equal(image.get_array(), expected[rows.index(top), place])
    words = [text.get_text() for text in axes.texts]
    numbers = [f"{value:.1f}" for value in table.psnr]
    assert [word for word in words if word in numbers] == numbers
    assert "task stitches" in words and words[0] == "R1111 trained → R1111 random"


def test_a_figure_names_the_layers_shortly_and_writes_over_nothing(study, measured):
    table, folder = study
    called = ["conv_proj", *(f"encoder.layers.encoder_layer_{layer}" for layer in range(3)), "x" * 40]
    table = table.assign(sender_layer_name=table.sender_layer.map(dict(enumerate(called))))
    files = {objective: folder / f"images/{objective}/{PAIR[0]}/{PAIR[1]}.h5" for objective in measured}
    figure = figures.draw_images(table, files, *PAIR)
    words, places, axes = texts(figure), boxes(figure), figure.axes[0]
    labels = ["conv_proj  0", "encoder_layer_0  1", "encoder_layer_1  2", "encoder_layer_2  3", f"…{'x' * 17}  4"]
    assert [word for word in words if word in labels] == labels * 2
    shown = [place for word, place in zip(words, places, strict=True) if word in (*labels, "sender layer")]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(shown, 2))
    first = axes.transData.transform((min(image.get_extent()[0] for image in axes.images), 0))[0]
    assert all(place.x1 < first for place in shown)


def test_the_metrics_figure_draws_a_mean_over_pairs(study):
    table, _ = study
    other = table.assign(receiver="R1112_random_s0", ssim=table.ssim / 2)
    figure = figures.draw_metrics(pd.concat([table, other]), NETWORKS)
    page, *panels = figure.axes
    assert len(panels) == 6 and [text.get_text() for text in page.texts].count("similarity stitches") == 1
    one, two, mean = (line.get_xydata() for line in panels[5].lines)  # similarity, SSIM
    expected = table.ssim[table.objective == "similarity"].to_numpy()
    np.testing.assert_allclose(one[:, 0], [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(one[:, 1], expected)
    np.testing.assert_allclose(two[:, 1], expected / 2)
    np.testing.assert_allclose(mean[::25, 1], expected * 0.75)


def test_figures_are_files_with_equal_bytes(study, tmp_path):
    table, folder = study
    for run in ("one", "other"):
        figures.draw_all(table, NETWORKS, folder / "images", tmp_path / run, ["png", "svg"])
    for name in (f"generated_images/{PAIR[0]}/{PAIR[1]}", "generated_images"):
        for kind in ("png", "svg"):
            files = [tmp_path / run / f"{name}.{kind}" for run in ("one", "other")]
            assert files[0].read_bytes() == files[1].read_bytes()


def test_an_image_is_read_in_the_precision_of_the_stitch(few_digits, trained, trained_for):
    exact, rounded = (
        generated_images.measure_pair(
            trained, trained, few_digits, *trained_for["task"], images=40, shown=1, precision=precision
        )[0]
        for precision in ("float32", "bfloat16")
    )
    assert (exact.psnr != rounded.psnr).all() and (exact.psnr - rounded.psnr).abs().max() < 0.1
