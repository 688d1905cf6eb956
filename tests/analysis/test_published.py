"""The paper's numbers: whole, and compared with ours as a hand would."""

import itertools

import numpy as np
import pandas as pd
import pytest

from modelstitch.analysis import published
from modelstitch.measures import distances
from modelstitch.networks.small_resnet import blocks

PAIR = ["sender_architecture", "sender_recipe", "receiver_architecture", "receiver_recipe"]


def study(change=lambda accuracy: accuracy, seeds=(0,), images=10_000):
    """Cells of the pairs that the paper prints, with its accuracies changed, and their networks."""
    cells = published.accuracies()
    cells = pd.concat([cells.assign(sender_seed=seed, receiver_seed=seed) for seed in seeds], ignore_index=True)
    for role in published.ROLES:
        keys = (cells[f"{role}_{key}"].astype(str) for key in ("architecture", "recipe"))
        cells[role] = ["_".join(names) for names in zip(*keys, "s" + cells[f"{role}_seed"].astype(str), strict=True)]
    accuracy = change(cells.pop("published"))
    networks = pd.DataFrame({"network": pd.unique(cells[["sender", "receiver"]].to_numpy().ravel())})
    return cells.assign(objective="task", accuracy=accuracy, test_images=images), networks.assign(
        dataset="cifar10", width=64
    )


def test_every_printed_matrix_is_whole():
    cells = published.accuracies()
    assert len(cells) == 280
    for names, pair in cells.groupby(PAIR):
        senders, receivers = (range(1 + len(blocks(names[place], width=1))) for place in (0, 2))
        layers = list(itertools.product(senders, receivers))
        assert sorted(zip(pair.sender_layer, pair.receiver_layer, strict=True)) == layers
    assert cells.published.between(0.1, 1).all()
    assert set(cells.receiver_architecture) == {"R1111", "R1112", "R1122", "R3463"}


def test_the_misprint_is_mended():
    cells = published.accuracies().set_index(published.CELL).published
    assert cells["R1112", "trained", 0, "R1111", "random", 0] == 0.33


def test_the_papers_own_accuracies_differ_by_nothing():
    compared = published.compare(*study())
    assert sorted(compared.cells) == [25, 30, 30, 42, 153]
    assert (compared.difference == 0).all() and (compared.largest_difference == 0).all()
    np.testing.assert_allclose(compared.spearman, 1)


def test_differences_are_ours_less_the_papers():
    cells, networks = study(lambda accuracy: accuracy - 0.1)
    cells.loc[[3, 7], "accuracy"] += [0.4, -0.3]
    row = (
        published.compare(cells, networks).set_index(["sender", "receiver"]).loc["R1111_trained_s0", "R1111_trained_s0"]
    )
    assert row.cells == 25
    assert row.difference == pytest.approx((25 * -0.1 + 0.4 - 0.3) / 25)
    assert row.absolute_difference == pytest.approx((23 * 0.1 + 0.3 + 0.4) / 25)
    assert (row.largest_difference, row.largest_sender_layer, row.largest_receiver_layer) == (pytest.approx(-0.4), 1, 2)
    assert (row.dataset, row.width) == ("cifar10", 64)


def test_the_printed_matrices_stand_beside_ours_cell_by_cell():
    cells, _ = study(lambda accuracy: accuracy - 0.1)
    table = published.side_by_side(cells)
    assert len(table) == 280 and (table.published - table.accuracy).to_numpy() == pytest.approx(0.1)
    assert table.difference.to_numpy() == pytest.approx(-0.1)


def test_two_seeds_of_an_architecture_are_not_the_papers_network_with_itself():
    cells, networks = study(seeds=(0, 1))
    cells["receiver"] = cells.receiver.str.replace("s0", "s1")
    compared = published.compare(cells, networks)
    pairs = set(zip(compared.sender, compared.receiver, strict=True))
    assert ("R1111_trained_s0", "R1111_trained_s1") not in pairs
    assert ("R1112_trained_s0", "R1122_trained_s1") in pairs and ("R1111_trained_s1", "R1111_trained_s1") in pairs


def test_the_rank_correlation_is_that_of_ranks_with_ties():
    cells, networks = study()
    cells = cells[(cells.sender == "R1111_trained_s0")].iloc[:4].copy()
    printed = published.beside(cells).published
    assert printed.tolist() == [0.91, 0.54, 0.39, 0.34]
    cells["accuracy"] = [0.2, 0.2, 0.1, 0.3]
    one, other = np.array([2.5, 2.5, 1, 4]), np.array([4, 3, 2, 1])
    assert published.compare(cells, networks).spearman.item() == pytest.approx(np.corrcoef(one, other)[0, 1])
    cells["accuracy"] = 0.5
    assert np.isnan(published.compare(cells, networks).spearman.item())


def test_counting_images_alone_makes_the_expected_difference():
    generator = np.random.default_rng(0)

    def counted(truth, images):
        return generator.binomial(images, truth) / images

    truth = published.accuracies().published.to_numpy()
    differences = [
        np.abs(counted(truth, 500) - counted(truth, published.TEST_IMAGES).round(2)).mean() for _ in range(200)
    ]
    compared = published.compare(*study(images=500))
    expected = np.average(compared.expected_absolute_difference, weights=compared.cells)
    assert expected == pytest.approx(np.mean(differences), rel=0.03)


def test_each_seed_is_a_pair_of_its_own_and_only_task_stitches_with_a_result_count():
    cells, networks = study(seeds=(0, 1))
    cells.loc[cells.receiver == "R1111_trained_s1", "objective"] = "similarity"
    cells.loc[(cells.receiver == "R1111_random_s0") & (cells.sender_layer == 2), "accuracy"] = np.nan
    compared = published.compare(cells, networks)
    counts = dict(zip(zip(compared.sender, compared.receiver, strict=True), compared.cells, strict=True))
    assert len(counts) == 9 and ("R1111_trained_s1", "R1111_trained_s1") not in counts
    assert counts["R1112_trained_s0", "R1111_random_s0"] == 25
    assert counts["R1112_trained_s1", "R1111_random_s1"] == 30


def test_a_study_without_the_papers_pairs_has_an_empty_table_with_its_header():
    cells, networks = study()
    cells["receiver_recipe"] = "calibrated"
    compared = published.compare(cells, networks)
    assert compared.empty and tuple(compared) == published.COLUMNS


def test_every_printed_table_of_squared_errors_is_whole():
    errors = published.squared_errors()
    recipes = ["trained", "random"]
    expected = {
        (stitches, sender, receiver, distance)
        for stitches in ("corresponding", "all")
        for sender in recipes
        for receiver in recipes
        for distance in distances.DISTANCES
    }
    keys = ["stitches", "sender_recipe", "receiver_recipe", "distance"]
    assert set(errors[keys].itertuples(index=False, name=None)) == expected and len(errors) == len(expected)
    assert (errors.published_min <= errors.published_mean).all()
    assert (errors.published_mean <= errors.published_max).all()


def test_printed_squared_errors_stand_beside_ours_and_nowhere_else():
    numbers = {name: np.arange(8.0) for name in ("variance", *distances.DISTANCES)}
    over = {f"{name}_{kind}": np.arange(8.0) for name in distances.DISTANCES for kind in ("over_variance", "cosine")}
    cells = pd.DataFrame(numbers | over).assign(corresponding=[True, False] * 4, receiver="R1111_trained_s0")
    cells["sender"] = np.repeat(["R1112_trained_s1", "R1112_calibrated_s0"], 4)
    summary = distances.summarise(cells)
    table = published.beside_summary(summary)
    pd.testing.assert_frame_equal(table[list(summary)], summary)
    added = table.set_index(["sender_recipe", "stitches", "distance"])[[*table.columns.difference(summary.columns)]]
    assert list(added) == ["published_max", "published_mean", "published_min", "published_std"]
    assert added.loc[("trained", "corresponding", "EV")].tolist() == [2.8e-1, 4.4e-2, 2.0e-3, 6.1e-2]
    assert added.loc[("trained", "all", "SV")].tolist() == [5.9e-1, 2.0e-2, 7.8e-4, 3.3e-2]
    assert added.dropna().index.tolist() == [
        ("trained", stitches, name) for stitches in ("corresponding", "all") for name in distances.DISTANCES
    ]
