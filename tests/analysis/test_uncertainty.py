"""Intervals against textbooks, loops and simulated studies of which the truth is known."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from modelstitch.analysis.uncertainty import COLUMNS, uncertainty, wilson
from tests.analysis.written import cells, write_record
from tests.records.made import EVIDENCE


def study(values):
    """A cells table of one layer each: accuracies by (objective, sender, receiver)."""
    rows = []
    for (objective, sender, receiver), accuracy in values.items():
        row = {"objective": objective, "accuracy": accuracy, "test_images": 100}
        for role, network in (("sender", sender), ("receiver", receiver)):
            architecture, recipe, seed = network.split("_")
            row |= {role: network, f"{role}_architecture": architecture, f"{role}_recipe": recipe}
            row |= {f"{role}_seed": int(seed[1:]), f"{role}_layer": 0, f"{role}_layer_name": "stem"}
        rows.append(row)
    return pd.DataFrame(rows)


def crossed(sender, receiver, value, seeds):
    """Accuracies of all pairs of seeds of two architectures."""
    return {
        ("task", f"{sender}_trained_s{one}", f"{receiver}_trained_s{other}"): value(one, other)
        for one, other in itertools.product(range(seeds), repeat=2)
    }


@pytest.mark.parametrize(("right", "images"), [(0, 10), (3, 10), (10, 10), (4321, 10_000), (359, 360)])
def test_an_interval_over_images_is_wilsons(right, images):
    low, high = wilson(np.array(right / images), np.array(images))
    expected = stats.binomtest(right, images).proportion_ci(0.95, method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_one_seed_has_no_interval_but_over_images():
    table = uncertainty(study({("task", "A_trained_s0", "B_trained_s0"): 0.7}))
    assert tuple(table) == COLUMNS
    row = table.iloc[0]
    assert (row.network_seeds, row.network_pairs, row.stitch_seeds) == (1, 1, 1)
    assert row.accuracy_low < row.accuracy == row.network_mean == row.stitch_mean < row.accuracy_high
    assert table.filter(regex="_(std|low|high)$").drop(columns=["accuracy_low", "accuracy_high"]).isna().all(axis=None)


def test_a_network_with_itself_is_apart_from_pairs_of_two_seeds():
    values = crossed("A", "A", lambda one, other: 0.9 + one / 100 if one == other else 0.5 + one / 10 + other / 100, 3)
    table = uncertainty(study(values))
    own, two = table[table.shared_start], table[~table.shared_start]
    assert (own.network_pairs == 3).all() and (two.network_pairs == 6).all() and (table.network_seeds == 3).all()
    assert own.network_mean.to_numpy() == pytest.approx(0.91) and two.network_mean.to_numpy() == pytest.approx(0.61)
    student = stats.ttest_1samp([0.9, 0.91, 0.92], 0).confidence_interval(0.95)
    assert (own.network_low.iloc[0], own.network_high.iloc[0]) == pytest.approx((student.low, student.high))


def test_the_interval_over_pairs_is_the_jackknife_of_a_loop_over_seeds():
    accuracy = np.random.default_rng(0).random((4, 4))
    row = (
        uncertainty(study(crossed("A", "B", lambda one, other: accuracy[one, other], 4))).query("~shared_start").iloc[0]
    )
    whole = accuracy.mean()
    kept = [np.delete(np.delete(accuracy, seed, 0), seed, 1).mean() for seed in range(4)]
    pseudo = 4 * whole - 3 * np.array(kept)
    half = stats.t.ppf(0.975, 3) * pseudo.std(ddof=1) / 2
    assert row.network_pairs == 16 and row.network_mean == pytest.approx(whole)
    assert row.network_std == pytest.approx(accuracy.std(ddof=1))
    # The jackknife's variance is about the mean of the leave-one-out means, as is that of the pseudo-values.
    assert (row.network_low, row.network_high) == pytest.approx((whole - half, whole + half))


@pytest.mark.parametrize(("architectures", "seeds"), [("AB", 3), ("AA", 4)])
def test_the_interval_over_pairs_covers_the_truth_as_often_as_it_says(architectures, seeds):
    """Where a pair's accuracy is mostly the sum of its networks' own, unlike an interval of independent pairs."""
    generator, tables, studies = np.random.default_rng(0), [], 300
    one, other = architectures
    for number in range(studies):
        senders, receivers = generator.normal(size=(2, seeds))
        noise = generator.normal(size=(seeds, seeds)) / 4
        table = study(crossed(one, other, lambda i, j: senders[i] + receivers[j] + noise[i, j], seeds))  # noqa: B023
        tables.append(table.assign(sender_layer=number))  # no two studies are one family
    with np.errstate(invalid="ignore"):  # these are no shares of images
        found = uncertainty(pd.concat(tables, ignore_index=True))
    found = found[~found.shared_start].drop_duplicates("sender_layer")
    assert len(found) == studies
    covered = (found.network_low < 0) & (found.network_high > 0)
    as_if_independent = stats.t.ppf(0.975, found.network_pairs - 1) * found.network_std / np.sqrt(found.network_pairs)
    assert covered.mean() > 0.93 and (found.network_mean.abs() < as_if_independent).mean() < 0.85


def test_two_seeds_of_one_architecture_are_too_few_for_pairs_of_two():
    table = uncertainty(study(crossed("A", "A", lambda one, other: 0.5 + one / 10, 2)))
    two = table[~table.shared_start]
    assert (two.network_seeds == 2).all() and two.network_std.notna().all() and two.network_low.isna().all()
    assert table[table.shared_start].network_low.notna().all()


def test_a_cell_without_a_result_counts_nowhere():
    values = crossed("A", "B", lambda one, other: np.nan if one == other == 1 else 0.5, 2)
    table = uncertainty(study(values))
    assert (table.network_pairs == 3).all() and table.network_mean.to_numpy() == pytest.approx(0.5)
    failed = table[table.accuracy.isna()].iloc[0]
    assert np.isnan(failed.accuracy_low) and failed.stitch_seeds == 0 and not failed.shared_start
    nothing = uncertainty(study({("task", "A_trained_s0", "B_trained_s0"): np.nan})).iloc[0]
    assert (nothing.network_pairs, nothing.network_seeds) == (0, 0) and np.isnan(nothing.network_mean)


def test_seeds_of_stitches_are_summarised_by_cell():
    pair = ("A_trained_s0", "B_trained_s1")
    values = {("task", *pair): 0.5, ("task-2", *pair): 0.6, ("task-3", *pair): 0.7, ("similarity", *pair): 0.1}
    table = uncertainty(study(values)).set_index("objective")
    student = stats.ttest_1samp([0.5, 0.6, 0.7], 0).confidence_interval(0.95)
    for name in ("task", "task-2", "task-3"):
        row = table.loc[name]
        assert (row.stitch_seeds, row.network_pairs) == (3, 1)
        assert (row.stitch_mean, row.stitch_low, row.stitch_high) == pytest.approx((0.6, student.low, student.high))
    assert table.stitch_seeds["similarity"] == 1


def test_every_cell_of_the_records_has_a_row_in_their_order(tmp_path):
    table = cells([write_record(tmp_path, "R1111_trained_s0", f"R1112_trained_s{seed}") for seed in (1, 0)], EVIDENCE)
    found = uncertainty(table)
    keys = ["objective", "sender", "receiver", "sender_layer", "receiver_layer", "accuracy"]
    pd.testing.assert_frame_equal(found[keys], table[keys])
