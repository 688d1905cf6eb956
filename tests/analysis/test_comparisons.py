"""Paired comparisons against loops, against resampling, and against exact tests of others."""

import itertools

import numpy as np
import pytest
from scipy import stats

from modelstitch import records
from modelstitch.analysis import outcomes
from modelstitch.analysis.comparisons import COLUMNS, compare, holm, mcnemar, summarise
from modelstitch.analysis.triangle import drawn, interval
from modelstitch.errors import ModelstitchError
from tests.records import made

ONE, OTHER, RANDOM = "R1111_trained_s0", "R1112_trained_s0", "R1111_random_s0"
ABOUT = {"objective": "task", "receiver_accuracy": 0.9}


@pytest.fixture
def write_pair(few_digits, tmp_path):
    """Write a record of cells that are right at random, each more often the nearer it is to the diagonal."""

    def write(sender, receiver, objective="task", failed=(), digest=few_digits.digest):
        rows, columns = (len(made.layers_of(name)) for name in (sender, receiver))
        generator = np.random.default_rng([len(objective), *map(ord, sender + receiver)])
        labels, result = few_digits.test.labels, []
        hard = generator.random(len(labels))  # the same images are hard for all cells
        for j in range(columns):
            best = 0.4 if objective == "remapped" else 0.9
            shares = np.array([best - abs(i / (rows - 1) - j / (columns - 1)) for i in range(rows)])
            noise = generator.normal(size=(rows, len(labels))) / 5
            predictions = np.where(hard + noise < shares[:, None], labels, 9 - labels).astype(np.uint8)
            accuracies = (predictions == labels).mean(axis=1)
            accuracies[[(i, j) in failed for i in range(rows)]] = np.nan
            result.append(made.column(j, accuracies, predictions=predictions))
        about = ABOUT | {"objective": objective, "dataset_digest": digest}
        return made.write(tmp_path, made.record(result, sender, receiver, **about))

    return write


@pytest.fixture
def paths(write_pair):
    """A small study with every control."""
    return [
        write_pair(ONE, OTHER, failed=[(2, 0)]),
        write_pair(ONE, ONE),
        write_pair(OTHER, OTHER, failed=[(1, 1)]),
        write_pair(RANDOM, OTHER, failed=[(0, 3)]),
        write_pair(ONE, OTHER, "remapped", failed=[(4, 4)]),
        write_pair(ONE, OTHER, "remapped-2"),
    ]


def right_of(path, dataset):
    """What each cell of a record gets right, cell by cell; those without a result are missing."""
    record = records.read(path)
    return {
        (i, column.receiver_layer): column.predictions[row] == dataset.test.labels
        for column in record.columns
        for row, i in enumerate(column.sender_layers)
        if not np.isnan(column.test_accuracy[row])
    }


def test_cells_are_compared_with_those_of_a_loop(paths, few_digits, few_digits_evidence):
    table = compare(paths, few_digits_evidence)
    assert tuple(table) == COLUMNS
    right = {}
    for path in paths:
        about = records.read(path).attributes
        for (i, j), outcome in right_of(path, few_digits).items():
            right[about["objective"], about["sender"], about["receiver"], i, j] = outcome
    expected = {}
    for (objective, sender, receiver, i, j), outcome in right.items():
        layers = {ONE: 5, RANDOM: 5, OTHER: 6}
        diagonal = min(
            range(layers[sender]), key=lambda row: abs(row / (layers[sender] - 1) - j / (layers[receiver] - 1))
        )
        others = {"corresponding": (objective, sender, receiver, diagonal, j)}
        if sender != receiver:
            others["own_layer"] = (objective, receiver, receiver, j, j)
        if "trained" in sender:
            others["random_sender"] = (objective, sender.replace("trained", "random"), receiver, i, j)
        if objective == "task":
            others |= {name: (name, sender, receiver, i, j) for name in ("remapped", "remapped-2")}
        for name, other in others.items():
            if other in right and other != (objective, sender, receiver, i, j):
                expected[objective, sender, receiver, i, j, name] = (outcome, right[other], other[3])
    keys = ["objective", "sender", "receiver", "sender_layer", "receiver_layer", "comparison"]
    assert set(table.comparison) == {"corresponding", "own_layer", "random_sender", "remapped", "remapped-2"}
    assert set(table[keys].itertuples(index=False, name=None)) == expected.keys() and len(table) == len(expected)
    for row in table.itertuples():
        one, other, layer = expected[tuple(getattr(row, key) for key in keys)]
        assert row.other_sender_layer == layer
        assert (row.accuracy, row.other_accuracy) == pytest.approx((one.mean(), other.mean()))
        assert row.difference == pytest.approx(one.mean() - other.mean())
        test = stats.binomtest((one & ~other).sum(), max((one ^ other).sum(), 1)).pvalue if (one ^ other).any() else 1
        assert row.p == pytest.approx(test)


def test_families_are_the_cells_of_a_pair_and_comparison(paths, few_digits_evidence):
    table = compare(paths, few_digits_evidence)
    for _, family in table.groupby(["objective", "sender", "receiver", "comparison"]):
        ordered = sorted(family.p)
        for row in family.itertuples():
            # Slow and obvious: a test is significant at a level if it and all with smaller p pass their own.
            steps = [(len(ordered) - rank) * p for rank, p in enumerate(ordered) if p <= row.p]
            assert row.p_holm == pytest.approx(min(1, max(steps)))
            sign = "higher" if row.difference > 0 else "lower"
            assert row.verdict == (sign if row.p_holm <= 0.05 else "undecided")
    assert set(table.verdict) == {"higher", "lower", "undecided"}


def test_holm_corrects_as_by_hand():
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.03, 0.005])), [0.06, 0.03, 0.06, 0.02])
    np.testing.assert_allclose(holm(np.array([0.5, 0.9])), [1, 1])


def test_mcnemar_is_the_exact_binomial_test():
    one, other = (np.array(counts) for counts in zip(*itertools.product((0, 1, 2, 7, 40, 900), repeat=2), strict=True))
    expected = [stats.binomtest(b, b + c).pvalue if b + c else 1 for b, c in zip(one, other, strict=True)]
    np.testing.assert_allclose(mcnemar(one, other), expected, rtol=1e-9)


def test_mcnemar_is_the_permutation_test_that_exchanges_the_two_cells_outcomes():
    outcome = np.array([[1, 1, 1, 1, 1, 0, 0, 1], [0, 0, 0, 0, 1, 0, 1, 1]], bool)
    observed = abs(outcome[0].sum() - outcome[1].sum())
    found = []
    for exchanged in itertools.product((False, True), repeat=8):
        one, other = np.where(exchanged, outcome[::-1], outcome)
        found.append(abs(one.sum() - other.sum()) >= observed)
    assert mcnemar(np.array([4]), np.array([1]))[0] == pytest.approx(np.mean(found))


def test_the_interval_is_that_of_a_paired_bootstrap_over_images(paths, few_digits, few_digits_evidence):
    table = compare(paths[:1], few_digits_evidence)
    right = right_of(paths[0], few_digits)
    counts = drawn(len(few_digits.test.labels), 0)
    widths = []
    for row in table.itertuples():
        cells = [right[layer, row.receiver_layer] for layer in (row.sender_layer, row.other_sender_layer)]
        low, high = interval(counts @ (cells[0].astype(int) - cells[1]) / counts.shape[1])
        assert (row.difference_low, row.difference_high) == pytest.approx((low, high), abs=0.02)
        widths.append((row.difference_high - row.difference_low) / (high - low))
    assert np.mean(widths) == pytest.approx(1, abs=0.03)


def test_equal_cells_are_undecided(few_digits, few_digits_evidence, tmp_path):
    labels = few_digits.test.labels
    predictions = np.tile(np.where(np.arange(101) < 60, labels, 9 - labels), (5, 1)).astype(np.uint8)
    columns = [made.column(j, [60 / 101] * 5, predictions=predictions) for j in range(5)]
    about = ABOUT | {"dataset_digest": few_digits.digest}
    table = compare([made.write(tmp_path, made.record(columns, ONE, ONE, **about))], few_digits_evidence)
    assert len(table) == 20 and (table.sender_layer != table.other_sender_layer).all()
    assert (table.verdict == "undecided").all() and (table.p == 1).all() and (table.difference_high == 0).all()


def test_of_a_network_stitched_to_itself_the_corresponding_cell_is_its_own_layer(paths, few_digits_evidence):
    table = compare(paths, few_digits_evidence)
    assert set(table[table.sender == table.receiver].comparison) == {"corresponding"}


def test_into_the_image_no_layer_corresponds(few_digits, few_digits_evidence, tmp_path):
    labels = few_digits.test.labels.astype(np.uint8)
    columns = [made.column(j, [1.0, 1.0], predictions=np.tile(labels, (2, 1))) for j in (-1, 0)]
    about = ABOUT | {"dataset_digest": few_digits.digest}
    path = made.write(tmp_path, made.record(columns, ONE, OTHER, **about))
    assert compare([path], few_digits_evidence).receiver_layer.tolist() == [0]


def test_a_study_without_results_has_an_empty_table(write_pair, few_digits_evidence):
    every = list(itertools.product(range(5), repeat=2))
    table = compare([write_pair(ONE, ONE, failed=every)], few_digits_evidence)
    assert table.empty and tuple(table) == COLUMNS and summarise(table).empty


def test_a_record_of_other_images_is_refused(write_pair, few_digits_evidence):
    with pytest.raises(ModelstitchError, match=r"R1111_trained_s0\.h5: dataset_digest: 'other': expected"):
        compare([write_pair(ONE, ONE, digest="other")], few_digits_evidence)


def test_the_summary_counts_verdicts(paths, few_digits_evidence):
    table = compare(paths, few_digits_evidence)
    summary = summarise(table)
    assert len(summary) == table.groupby(["objective", "sender", "receiver", "comparison"]).ngroups
    row = summary[
        (summary.objective == "task") & (summary.sender == RANDOM) & (summary.comparison == "own_layer")
    ].iloc[0]
    chosen = table[(table.objective == "task") & (table.sender == RANDOM) & (table.comparison == "own_layer")]
    assert row.cells == len(chosen) == row.higher + row.lower + row.undecided
    assert row.lower == (chosen.verdict == "lower").sum() > 0
    assert row.difference == pytest.approx(chosen.difference.mean())


@pytest.mark.parametrize("images", [1, 8, 63, 64, 65, 101])
def test_packed_outcomes_are_counted_as_plain_ones(images, monkeypatch):
    monkeypatch.setattr(outcomes, "BLOCK", 7)
    right = np.random.default_rng(images).random((9, images)) < 0.5
    packed = outcomes.pack(right)
    ones, others = (np.array(places) for places in zip(*itertools.product(range(9), repeat=2), strict=True))
    expected = [(right[one] & right[other]).sum() for one, other in zip(ones, others, strict=True)]
    np.testing.assert_array_equal(outcomes.count_both(packed, ones, others), expected)
    np.testing.assert_array_equal(np.bitwise_count(packed).sum(axis=1), right.sum(axis=1))
