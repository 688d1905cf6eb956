"""Networks of other layers and images than each other's: every measure of every pair, and of a network with itself."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.covariance import LedoitWolf

from modelstitch import records
from modelstitch.analysis import tables
from modelstitch.config.measures import Hacking
from modelstitch.data.images import DeviceImages
from modelstitch.data.images import drawn as draw
from modelstitch.figures import generated_images as generated_images_figures
from modelstitch.figures import hacking as hacking_figures
from modelstitch.figures import pair as pair_figures
from modelstitch.figures.paper import save
from modelstitch.fitting.pair import train_pair
from modelstitch.measures import distances, generated_images, hacking, probes
from modelstitch.networks.frozen import FrozenNetwork
from modelstitch.records import images
from modelstitch.seeds import seed_of
from modelstitch.stitches.geometry import Geometry
from tests.analysis.written import cells
from tests.measures import pairs
from tests.records import made
from tests.settings import stitch_settings
from tests.stitches.made import identity

SETTINGS = Hacking(images=90, neighbours=3)
OBJECTIVES = {"task": stitch_settings(), "similarity": pairs.CLOSED}
PAIRS = [("resnet", "vit"), ("vit", "resnet"), ("swin", "mlp"), ("mlp", "swin")]
KINDS = ["resnet", "vit", "swin", "mlp"]


@pytest.fixture(scope="module")
def networks(trained, few_digits):
    made = {"vit": pairs.vision_transformer(), "swin": pairs.swin_transformer(), "mlp": pairs.perceptron()}
    return {"resnet": trained} | {name: pairs.measured(network, few_digits) for name, network in made.items()}


@pytest.fixture(scope="module", params=PAIRS, ids=" to ".join)
def pair(request, networks):
    """Sender and receiver."""
    return tuple(networks[name] for name in request.param)


@pytest.fixture(scope="module")
def fitted(pair, few_digits):
    """Record and stitches of each objective."""
    return {
        objective: train_pair(*pair, few_digits, settings, objective=objective, study_seed=0)
        for objective, settings in OBJECTIVES.items()
    }


@pytest.fixture(scope="module")
def into_input(pair, few_digits):
    """Record and stitches of each objective, from all layers into the receiver's input."""
    return {
        objective: train_pair(*pair, few_digits, settings, objective=objective, study_seed=0, receiver_layers=[-1])
        for objective, settings in OBJECTIVES.items()
    }


@pytest.fixture(params=["first", "last"])
def cell(request, pair):
    """The first layers of both networks, or the last ones."""
    return (0, 0) if request.param == "first" else tuple(len(network.layers) - 1 for network in pair)


@pytest.fixture(scope="module")
def measured_distances(pair, few_digits, fitted):
    return distances.measure_pair(*pair, few_digits, *(fitted[objective].stitches for objective in OBJECTIVES))


@pytest.fixture(scope="module")
def measured_hacking(pair, few_digits, fitted):
    return {
        objective: hacking.measure_pair(*pair, few_digits, record, stitches, SETTINGS, 0)
        for objective, (record, stitches) in fitted.items()
    }


@pytest.fixture(scope="module")
def measured_generation(pair, few_digits, into_input):
    """PSNR and SSIM over 40 images, 13 of them shown."""
    return {
        objective: generated_images.measure_pair(*pair, few_digits, stitches, record, images=40, shown=13)
        for objective, (record, stitches) in into_input.items()
    }


def row_of(table, cell):
    """Of a table of cells."""
    return table[(table.sender_layer == cell[0]) & (table.receiver_layer == cell[1])].iloc[0]


def names_are_those_of(table, pair, roles=("sender", "receiver")):
    """Whether a table names its layers as the networks do."""
    networks = dict(zip(("sender", "receiver"), pair, strict=True))
    return all(
        table[f"{role}_layer_name"].tolist() == [networks[role].layers[layer].name for layer in table[f"{role}_layer"]]
        for role in roles
    )


def images_of(dataset, split, indices=slice(None)):
    """Images of a split, of 0 to 1."""
    return DeviceImages(dataset, split).scaled(indices)


def chosen(dataset):
    """Indices of the training and test images that hacking is measured on."""
    return [
        draw(len(split.labels), SETTINGS.images, seed_of(0, "hacking", name))
        for name, split in (("train", dataset.train), ("test", dataset.test))
    ]


def whole(pair, images, stitches, cell):
    """Expected and stitched representations (N, *shape) of images."""
    sent, expected = (
        FrozenNetwork(network).representations(images)[layer] for network, layer in zip(pair, cell, strict=True)
    )
    return expected, stitches[cell](sent).detach()


def by_channel(values, layout):
    """Representations (N, *shape) as (N and places, channels)."""
    return (values.permute(0, 2, 3, 1) if layout == "map" else values).flatten(0, -2).double()


def features_slowly(values, shape):
    """Means of each channel over four quadrants of one image's representation, then its extra tokens."""
    tokens = []
    if shape.layout == "map":
        values = values.transpose(1, 2, 0)
    elif shape.layout == "tokens":
        tokens, values = values[: shape.extra].ravel(), values[shape.extra :].reshape(*shape.grid, -1)
    elif shape.layout == "vector":
        return values
    halves = [(slice(None, side // 2), slice(side // 2, None)) for side in shape.grid]
    found = [
        values[rows, columns, c].mean() for c in range(shape.channels) for rows in halves[0] for columns in halves[1]
    ]
    return np.array([*found, *tokens])


def test_distances_are_those_of_the_whole_representations(pair, few_digits, fitted, measured_distances, cell):
    table, shape = measured_distances, pair[1].layers[cell[1]].representation
    counts = [len(network.layers) for network in pair]
    assert len(table) == counts[0] * counts[1] and table.corresponding.sum() == counts[0]
    assert (table.sender == pair[0].name).all() and (table.receiver == pair[1].name).all()
    assert names_are_those_of(table, pair)
    assert np.isfinite(table.select_dtypes("number")).all(axis=None)
    images = images_of(few_digits, few_digits.test)
    expected, found = whole(pair, images, fitted["task"].stitches, cell)
    _, similar = whole(pair, images, fitted["similarity"].stitches, cell)
    assert found.shape == expected.shape == (101, *shape.shape)
    row = row_of(table, cell)
    variance = by_channel(expected, shape.layout).var(dim=0, correction=0).mean().item()
    assert row.variance == pytest.approx(variance, rel=1e-4)
    for name, one, other in (("EV", expected, found), ("ES", expected, similar), ("SV", similar, found)):
        error = (one.double() - other.double()).square().mean().item()
        assert row[name] == pytest.approx(error, rel=1e-4)
        assert row[f"{name}_over_variance"] == pytest.approx(error / variance, rel=1e-4)
        cosine = torch.cosine_similarity(one.flatten(1).double(), other.flatten(1).double()).mean().item()
        assert row[f"{name}_cosine"] == pytest.approx(cosine, abs=1e-5)


def test_least_squares_come_nearer_than_training_for_the_task(measured_distances):
    assert (measured_distances.ES < measured_distances.EV).all()


def test_hacking_has_its_numbers_for_every_cell_and_stage(pair, fitted, measured_hacking):
    counts = [len(network.layers) for network in pair]
    for objective, (table, suffix) in measured_hacking.items():
        assert (table.objective == objective).all() and len(table) == counts[0] * counts[1]
        assert len(suffix) == counts[0] * sum(range(2, counts[1] + 2))
        for found in (table, suffix):
            assert names_are_those_of(found, pair)
            assert np.isfinite(found.select_dtypes("number")).all(axis=None)
        accuracies = [column.test_accuracy for column in fitted[objective].record.columns]
        np.testing.assert_array_equal(table.accuracy, np.concatenate(accuracies))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_errors_along_the_suffix_are_those_of_whole_activations(
    pair, few_digits, fitted, measured_hacking, objective, cell
):
    table, suffix = measured_hacking[objective]
    images = images_of(few_digits, few_digits.test, chosen(few_digits)[1])
    expected, found = whole(pair, images, fitted[objective].stitches, cell)
    rows = suffix[(suffix.sender_layer == cell[0]) & (suffix.receiver_layer == cell[1])]
    layers, pieces = pair[1].layers[cell[1] :], FrozenNetwork(pair[1]).pieces[cell[1] + 1 :]
    assert list(rows.layer) == [*(layer.index for layer in layers), "logits"]
    assert list(rows.layer_name) == [*(layer.name for layer in layers), "logits"]
    layouts = [*(layer.representation.layout for layer in layers), "vector"]
    for row, layout, piece in zip(rows.itertuples(), layouts, [None, *pieces], strict=True):
        if piece is not None:
            expected, found = piece(expected), piece(found)
        variance = by_channel(expected, layout).var(dim=0, correction=0)
        error = by_channel(found - expected, layout).square().mean(dim=0)
        assert row.relative_error == pytest.approx((error.sum() / variance.sum()).item(), rel=1e-3)
        cosine = torch.cosine_similarity(found.flatten(1), expected.flatten(1)).mean().item()
        assert row.cosine == pytest.approx(cosine, abs=1e-4)
    # The random error has the size of the stitch's own, and another direction.
    assert rows.random_relative_error.iloc[0] == pytest.approx(rows.relative_error.iloc[0], rel=1e-4)
    assert rows.random_relative_error.iloc[-1] != pytest.approx(rows.relative_error.iloc[-1], rel=1e-3)
    amplified = rows.relative_error.iloc[-1] / rows.relative_error.iloc[0]
    assert row_of(table, cell).amplification == pytest.approx(amplified)


def test_a_receiver_whose_logits_never_vary_has_no_errors_in_them(networks, few_digits):
    """As a transformer of torchvision's before its training, whose head is zeros."""
    receiver = pairs.vision_transformer()
    torch.nn.init.zeros_(receiver.module.heads.head.weight)
    record, stitches = train_pair(networks["mlp"], receiver, few_digits, stitch_settings(), study_seed=0)
    table, suffix = hacking.measure_pair(networks["mlp"], receiver, few_digits, record, stitches, SETTINGS, 0)
    of_logits = ["logits_relative_error", "amplification", "random_amplification"]
    assert table[of_logits].isna().all(axis=None)
    own = [*hacking.TYPICALITIES, "detection", "relative_error"]
    assert np.isfinite(table[own]).all(axis=None)
    errors, at_logits = suffix[["relative_error", "random_relative_error"]], suffix.layer == "logits"
    assert errors[at_logits].isna().all(axis=None) and np.isfinite(errors[~at_logits]).all(axis=None)


def test_typicality_is_that_of_quadrants_and_tokens(pair, few_digits, fitted, measured_hacking, cell):
    shape = pair[1].layers[cell[1]].representation
    found = []
    for split, indices in zip((few_digits.train, few_digits.test), chosen(few_digits), strict=True):
        for values in whole(pair, images_of(few_digits, split, indices), fitted["task"].stitches, cell):
            found.append(np.stack([features_slowly(image, shape) for image in values.double().numpy()]))
    reference, _, expected, stitched = found
    extra = shape.extra * shape.channels
    assert reference.shape[1] == shape.channels * min(4, shape.height * shape.width) + extra
    shrunk = LedoitWolf().fit(reference)
    row = row_of(measured_hacking["task"][0], cell)
    for name, features in (("mahalanobis", stitched), ("mahalanobis_expected", expected)):
        squares = shrunk.mahalanobis(features) / features.shape[1]
        assert row[name] == pytest.approx(squares.mean(), rel=1e-3)


def test_generated_images_are_those_that_the_receiver_is_given(pair, few_digits, into_input, measured_generation):
    sender, receiver = (FrozenNetwork(network) for network in pair)
    images, labels = images_of(few_digits, few_digits.test), few_digits.test.labels
    channels, *size = pair[1].image
    mean, std = (
        torch.as_tensor(default if amount is None else amount, dtype=torch.float32).reshape(-1, 1, 1)
        for amount, default in ((pair[1].mean, 0.0), (pair[1].std, 1.0))
    )
    given = images.expand(-1, channels, -1, -1)
    given = given if given.shape[2:] == (*size,) else F.interpolate(given, size, mode="bilinear", antialias=True)
    given = (255 * given).round()
    maps, indices = sender.representations(images), generated_images.choose(few_digits.test, 13)
    for objective, (table, shown) in measured_generation.items():
        assert len(table) == len(pair[0].layers) and (table.sender_layer_count == len(table)).all()
        assert names_are_those_of(table, pair, roles=("sender",))
        assert np.isfinite(table.select_dtypes("number")).all(axis=None)
        assert shown.originals.shape == (13, *pair[1].image)
        assert shown.generated.shape == (len(table), 13, *pair[1].image)
        allowed = 0 if pair[1].image[1:] == (32, 32) else 1  # a mean of four bytes may end in .5
        np.testing.assert_allclose(shown.originals, given[indices].numpy(), rtol=0, atol=allowed)
        for i, row in enumerate(table.itertuples()):
            raw = into_input[objective].stitches[i, -1](maps[i]).detach()
            pixels = 255 * (raw * std + mean)
            rounded = pixels.clamp(0, 255).round()
            assert np.abs(rounded[indices].numpy() - shown.generated[i]).max() <= 1  # of another order of summation
            errors = (rounded - given)[:40].square().mean(dim=(1, 2, 3))
            assert row.psnr == pytest.approx((10 * torch.log10(255**2 / errors)).mean().item(), abs=1e-3)
            assert row.clipped == pytest.approx(((pixels < -0.5) | (pixels > 255.5)).float().mean().item(), abs=1e-4)
            by_sender = rounded.mean(dim=1, keepdim=True) if pair[0].image[0] == 1 else rounded
            for name, network, seen in (("receiver", receiver, rounded), ("sender", sender, by_sender)):
                accuracy = (network(seen / 255).argmax(dim=1).numpy() == labels).mean()
                assert getattr(row, f"read_by_{name}") == pytest.approx(accuracy, abs=0.011)  # one image of 101


def test_reconstructions_are_nearer_than_images_for_the_task(measured_generation):
    psnr = {objective: table.psnr for objective, (table, _) in measured_generation.items()}
    assert (psnr["similarity"] > psnr["task"]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_an_identity_is_at_no_distance(networks, few_digits, kind):
    network = networks[kind]
    stitches = pairs.identities(network, range(len(network.layers)))
    table = distances.measure_pair(network, network, few_digits, stitches, stitches)
    assert len(table) == len(network.layers) and table.corresponding.all()
    assert (table[list(distances.DISTANCES)] < 1e-10).all(axis=None)
    np.testing.assert_allclose(table[[f"{name}_cosine" for name in distances.DISTANCES]], 1, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_in_closed_form_to_itself_is_at_hardly_any_distance(networks, few_digits, kind):
    network = networks[kind]
    record, stitches = train_pair(network, network, few_digits, pairs.CLOSED, objective="similarity", study_seed=0)
    table = distances.measure_pair(network, network, few_digits, stitches, stitches)
    own = table[table.sender_layer == table.receiver_layer]
    assert (own.ES_over_variance < 1e-3).all() and (table.SV == 0).all()
    accuracies = [column.test_accuracy[j] for j, column in enumerate(record.columns)]
    np.testing.assert_allclose(accuracies, pairs.measured(network, few_digits).about["accuracy"], rtol=0, atol=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_an_identity_preserves_everything(networks, few_digits, kind):
    network = networks[kind]
    stitches = pairs.identities(network, range(len(network.layers)))
    record = pairs.record_of(network, few_digits, pairs.own_classes(FrozenNetwork(network), few_digits), stitches)
    table, suffix = hacking.measure_pair(network, network, few_digits, record, stitches, SETTINGS, 0)
    expected = [f"{name}_expected" for name in hacking.TYPICALITIES]
    np.testing.assert_allclose(table[list(hacking.TYPICALITIES)], table[expected], rtol=1e-5)
    assert (table.relative_error < 1e-10).all() and (suffix[["relative_error", "random_relative_error"]] < 1e-10).all(
        axis=None
    )
    np.testing.assert_allclose(table.detection, 0.5, atol=1e-3)
    np.testing.assert_allclose(suffix.cosine, 1, rtol=1e-6)
    assert (table[["kappa_receiver", "kappa_sender", "same_mistake_receiver"]] == 1).all(axis=None)


@pytest.mark.parametrize("kind", KINDS)
def test_an_identity_gives_the_image_itself(networks, few_digits, kind):
    network = networks[kind]
    about = {"objective": "task", "study_seed": 0, "sender_layers": [-1], "receiver_layers": [-1]}
    record, _ = train_pair(network, network, few_digits, stitch_settings(epochs=0.2), **about)
    shape = FrozenNetwork(network).shapes[-1]
    stitches = {(-1, -1): identity(Geometry.between(shape, shape))}
    table, shown = generated_images.measure_pair(network, network, few_digits, stitches, record, images=20, shown=10)
    row = table.iloc[0]
    assert (row.psnr, row.clipped, row.read_by_receiver) == (np.inf, 0, row.read_by_sender)
    assert row.ssim == pytest.approx(1) and row.agreement > 0.98
    np.testing.assert_array_equal(shown.generated[0], shown.originals)


def means_of_patches(values, shape, kernel):
    """Features of a probe: rows, columns and channels of the mean patch, then extra tokens."""
    extra = np.empty((len(values), 0))
    if shape.layout == "vector":
        return values
    if shape.layout == "map":
        values = values.transpose(0, 2, 3, 1)
    if shape.layout == "tokens":
        extra, values = values[:, : shape.extra].reshape(len(values), -1), values[:, shape.extra :]
        values = values.reshape(len(values), *shape.grid, -1)
    parts = [
        values[:, row::kernel, column::kernel].mean(axis=(1, 2)) for row in range(kernel) for column in range(kernel)
    ]
    return np.concatenate([*parts, extra], axis=1)


@pytest.mark.parametrize(("kind", "kernels"), [("vit", [1] * 3), ("swin", [2, 2, 1, 1, 1]), ("mlp", [1] * 2)])
def test_probes_see_the_mean_patch_and_the_extra_tokens_of_every_layer(networks, few_digits, kind, kernels):
    network = networks[kind]
    frozen = FrozenNetwork(network)
    table = probes.measure(network, few_digits, 5000, seed=0)
    values = [
        {layer: values.numpy() for layer, values in frozen.representations(images_of(few_digits, split)).items()}
        for split in (few_digits.train, few_digits.test)
    ]
    for (layer, kernel), row in zip(enumerate(kernels), table.itertuples(), strict=True):
        shape = network.layers[layer].representation
        seen, tested = (means_of_patches(one[layer], shape, kernel) for one in values)
        assert (row.layer, row.layer_name, row.features) == (layer, network.layers[layer].name, seen.shape[1])
        found = probes.features(frozen, DeviceImages(few_digits, few_digits.test))[layer]
        np.testing.assert_allclose(found, tested, rtol=1e-4, atol=1e-5)
        accuracy = probes.fit(seen, few_digits.train.labels).score(tested, few_digits.test.labels)
        assert row.accuracy == pytest.approx(accuracy, abs=0.011)  # one image of 101


@pytest.mark.parametrize("kind", ["vit", "mlp"])
def test_probes_are_read_back_with_the_names_of_their_layers(networks, few_digits, kind, tmp_path):
    """A perceptron's are numbers."""
    tables.write_csv(probes.measure(networks[kind], few_digits, 200, seed=0), tmp_path / "probes.csv")
    found = tables.read(tmp_path / "probes.csv").layer_name.tolist()
    assert found == [layer.name for layer in networks[kind].layers]


def test_tables_and_figures_of_the_pair_are_made(
    pair, fitted, measured_hacking, measured_generation, few_digits_evidence, tmp_path
):
    paths = [made.write(tmp_path, record) for record, _ in fitted.values()]
    for path in paths:
        figure = pair_figures.draw_record(records.read(path), "viridis")
        assert figure.axes[0].texts[0].get_text() == f"{pair[0].name} → {pair[1].name}"
    table = cells(paths, few_digits_evidence)
    assert table.groupby("objective").size().tolist() == [len(pair[0].layers) * len(pair[1].layers)] * 2
    for role, network in zip(("sender", "receiver"), pair, strict=True):
        names = table.drop_duplicates(f"{role}_layer").sort_values(f"{role}_layer")[f"{role}_layer_name"]
        assert names.tolist() == [layer.name for layer in network.layers]
        depths = table.groupby(f"{role}_layer")[f"{role}_operations_depth"].unique().explode()
        assert depths.is_monotonic_increasing and depths.between(0, 1, inclusive="neither").all()
    save(hacking_figures.draw(measured_hacking["task"].cells, "task"), [tmp_path / "hacking.png"])
    files = {}
    for objective, (own, shown) in measured_generation.items():
        files[objective] = tmp_path / f"images_{objective}.h5"
        images.write(files[objective], shown)
        tables.write_csv(own, tmp_path / f"{objective}.csv")
    gathered = tables.read_all([tmp_path / f"{objective}.csv" for objective in OBJECTIVES])
    assert names_are_those_of(gathered, pair, roles=("sender",))
    tables.write_csv(measured_hacking["task"].suffixes, tmp_path / "suffixes.csv")
    suffixes = tables.read(tmp_path / "suffixes.csv")
    assert names_are_those_of(suffixes, pair)
    assert suffixes.layer_name.tolist() == measured_hacking["task"].suffixes.layer_name.tolist()
    figure = generated_images_figures.draw_images(gathered, files, pair[0].name, pair[1].name)
    assert len(figure.axes[0].images) == 13 * (1 + 2 * len(pair[0].layers))
