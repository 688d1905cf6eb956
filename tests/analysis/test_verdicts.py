"""Verdicts on measures: areas under the curve of cells with known values, matched with their controls."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from modelstitch.analysis import verdicts
from tests.analysis.written import cells, write_record
from tests.records.made import EVIDENCE

ONE, OTHER = "R1111_trained_s0", "R1111_trained_s1"


@pytest.mark.parametrize("sizes", [(1, 1), (3, 5), (40, 7)])
def test_the_area_is_scikit_learns(sizes):
    generator = np.random.default_rng(sum(sizes))
    real, control = (generator.integers(0, 6, size) / 6 for size in sizes)
    labels = np.repeat([1, 0], sizes)
    np.testing.assert_allclose(verdicts.area(real, control), roc_auc_score(labels, np.concatenate([real, control])))


def test_equal_values_are_a_tie_however_they_were_rounded():
    assert verdicts.area(np.array([0.6 - 0.2]), np.array([0.5 - 0.1])) == 0.5


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.51, 0.9, "tells apart"), (0.5, 0.9, "does not"), (0.1, 0.49, "the wrong way"), (0.1, 0.5, "does not")],
)
def test_a_verdict_needs_an_interval_on_one_side_of_a_half(low, high, expected):
    assert verdicts.verdict(low, high) == expected


def study(tmp_path, *more):
    """Two seeds of R1111 with accuracies of .5, .6 and .7 by sender layer in five columns, and other records."""

    def write(sender, receiver, *accuracies, **about):
        folder = tmp_path / about.get("objective", "task")
        return write_record(folder, sender, receiver, accuracies=accuracies, layers=range(5), **about)

    both = [write(ONE, OTHER, 0.5, 0.6, 0.7), write(OTHER, ONE, 0.5, 0.6, 0.7), write(ONE, ONE, 0.9, 0.9, 0.9)]
    return cells([*both, *(write(*one[:-1], **one[-1]) for one in more)], EVIDENCE)


def of(table, **named):
    chosen = table
    for name, value in named.items():
        chosen = chosen[chosen[name] == value]
    assert len(chosen) == 1
    return chosen.iloc[0]


def test_controls_are_told_apart_by_cells_of_the_same_layers(tmp_path):
    table = study(
        tmp_path,
        ("R1111_random_s0", OTHER, 0.1, 0.6, 0.8, {}),
        ("shuffled_trained_s0", OTHER, 0.4, 0.5, 0.6, {}),
        ("shuffled_trained_s0", ONE, 0.4, 0.5, 0.6, {}),
        ("half_trained_s0", OTHER, 0.6, 0.7, 0.8, {}),
        (ONE, OTHER, 0.1, 0.7, 0.7, {"objective": "remapped"}),
        (ONE, ONE, 0.9, 0.9, 0.9, {"objective": "remapped"}),
        (ONE, OTHER, 0.1, 0.1, 0.1, {"objective": "deranged"}),
        (ONE, OTHER, 0.9, 0.9, 0.9, {"objective": "marked"}),
    )
    found = verdicts.measure(table, {}, None, "R1111", 0, alike=["half"])
    assert list(found.columns) == list(verdicts.COLUMNS)
    assert set(found.control[found.expected == "does not"]) == {"half"}
    expected = {
        "random sender": (15, 0.5, "does not"),  # above, tie, below
        "shuffled": (30, 1.0, "tells apart"),
        "half": (15, 0.0, "the wrong way"),
        "remapped labels": (15, 0.5, "does not"),
        "deranged images": (15, 1.0, "tells apart"),
        "marked images": (15, 0.0, "the wrong way"),
    }
    overall = found[(found.measure == "accuracy") & (found.depth == "all")].set_index("control")
    assert set(overall.index) == set(expected)
    for control, (count, area, verdict) in expected.items():
        row = overall.loc[control]
        assert (row.cells, row.matched_auc, row.verdict) == (count, pytest.approx(area), verdict)
        assert row.matched_auc_low <= row.matched_auc <= row.matched_auc_high
        assert row.auc_low <= row.auc <= row.auc_high
    assert overall.loc["shuffled"].real == pytest.approx(0.6)
    assert overall.loc["shuffled"].control_mean == pytest.approx(0.5)
    thirds = found[(found.measure == "accuracy") & (found.control == "shuffled")].set_index("depth")
    assert thirds.cells.to_dict() == {"all": 30, "early": 12, "middle": 6, "late": 12}
    excess = found[found.measure == "excess_over_random_sender"]
    assert excess.empty  # a control's own has no random sender in this study
    pd.testing.assert_frame_equal(found, verdicts.measure(table, {}, None, "R1111", 0, alike=["half"]))


def test_several_cells_of_one_stratum_are_compared_each_with_each(tmp_path):
    names = [f"R1111_trained_s{seed}" for seed in range(2, 5)]
    generator = np.random.default_rng(0)
    values = {name: generator.integers(0, 8, 3) / 8 for name in names}
    others = {f"other_trained_s{seed}": generator.integers(0, 8, 3) / 8 for seed in range(4)}
    table = study(tmp_path, *((name, ONE, *given, {}) for name, given in (values | others).items()))
    found = verdicts.measure(table, {}, None, "R1111", 0)
    values[OTHER] = [0.5, 0.6, 0.7]
    slow = [
        roc_auc_score([1] * 4 + [0] * 4, [one[i] for one in values.values()] + [one[i] for one in others.values()])
        for i in range(3)
    ]
    row = of(found, measure="accuracy", control="other", depth="all")
    assert row.matched_auc == pytest.approx(np.mean(slow))
    every = [np.concatenate(list(one.values())) for one in (values, others)]
    assert row.auc == pytest.approx(roc_auc_score([1] * 12 + [0] * 12, np.concatenate(every)))


def test_the_image_and_noise_are_compared_with_the_corresponding_layer(tmp_path):
    table = study(tmp_path, (ONE, OTHER, 0.55, 0.55, 0.55, {"objective": "image"}))
    table = table[(table.objective != "image") | (table.sender_layer == 0)]
    table.loc[table.objective == "image", "sender_layer"] = -1
    noise = pd.DataFrame(
        {
            "receiver": OTHER,
            "receiver_layer": range(3),
            "receiver_layer_count": 5,
            "sigma": 0.1,
            "accuracy": [0.4, 0.6, 0.9],
            "excess_over_remapped": 0.0,
        }
    )
    found = verdicts.measure(table, {}, noise, "R1111", 0)
    # Layers 0, 1 and 2 of the sender have cells here: .5, .6 and .7 against .55.
    image = of(found, measure="accuracy", control="image", depth="all")
    assert (image.cells, image.matched_auc, image.verdict) == (3, pytest.approx(2 / 3), "too few cells")
    assert np.isnan(image.matched_auc_low)
    assert set(found.measure[found.control == "image"]) == {"accuracy"}
    assert of(found, measure="accuracy", control="noise 0.1", depth="all").matched_auc == pytest.approx(0.5)


def test_measures_of_other_tables_count_distances_the_other_way_round(tmp_path):
    table = study(tmp_path, ("shuffled_trained_s0", OTHER, 0.5, 0.6, 0.7, {}))
    keys = table[verdicts.CELL]
    shuffled = (table.sender == "shuffled_trained_s0").to_numpy()
    hacking = keys.assign(objective="task", mahalanobis=1.0 + shuffled, mahalanobis_expected=1.0, recall=0.5 - shuffled)
    hacking = pd.concat([hacking, hacking.assign(objective="similarity", recall=shuffled)])
    similarity = keys.assign(linear_cka=0.9 * shuffled, linear_cka_null=0.1, images=100)
    found = verdicts.measure(table, {"hacking": hacking, "similarity": similarity}, None, "R1111", 0)
    overall = found[found.depth == "all"].set_index("measure").matched_auc.to_dict()
    expected = {
        "accuracy": 0.5,
        "agreement": 0.5,
        "excess_over_probe": 0.5,
        "mahalanobis": 1,
        "recall": 1,
        "linear_cka": 0,
    }
    assert overall == pytest.approx(expected)


def test_a_measure_that_is_a_little_higher_everywhere_tells_apart_by_layer_and_hardly_in_all(tmp_path):
    table = study(tmp_path, ("shuffled_trained_s0", OTHER, 0.49, 0.59, 0.69, {}))
    row = of(verdicts.measure(table, {}, None, "R1111", 0), measure="accuracy", control="shuffled", depth="all")
    assert (row.matched_auc, row.verdict) == (1.0, "tells apart")
    assert row.auc == pytest.approx(6 / 9) and row.auc_low < 0.7  # by sender layer, of three


def test_the_interval_holds_the_true_area_though_cells_that_share_a_layer_are_alike():
    """Of differences with an effect of each row and of each column, about 95 % of intervals hold the true area."""
    generator = np.random.default_rng(1)
    rows, columns = (axis.ravel() for axis in np.indices((9, 9)))
    # A difference of mean m and of variance 2 is positive with probability 0.6.
    mean = norm.ppf(0.6) * 2**0.5
    held = 0
    for seed in range(100):
        effects = generator.normal(size=(2, 9))
        values = mean + 0.7 * effects[0][rows] + 0.7 * effects[1][columns] + 1.02**0.5 * generator.normal(size=81)
        areas = np.tile((values > 0)[:, None], 81).astype(float)
        one = verdicts.Matched(rows, columns, columns / 8, values, np.zeros(81), areas)
        low, high = np.quantile(verdicts.resampled([one], seed)["matched_auc"], verdicts.QUANTILES)
        held += low <= 0.6 <= high
    assert 88 <= held <= 100


def test_another_objectives_accuracy_is_a_measure_of_the_same_cells(tmp_path):
    table = study(
        tmp_path,
        (ONE, OTHER, 0.2, 0.3, 0.4, {"objective": "similarity"}),
        ("shuffled_trained_s0", OTHER, 0.9, 0.9, 0.9, {}),
        ("shuffled_trained_s0", OTHER, 0.1, 0.2, 0.3, {"objective": "similarity"}),
    )
    found = verdicts.measure(table, {}, None, "R1111", 0)
    row = of(found, measure="similarity_accuracy", control="shuffled", depth="all")
    assert (row.real, row.control_mean, row.matched_auc) == (pytest.approx(0.3), pytest.approx(0.2), 1.0)
    assert of(found, measure="accuracy", control="shuffled", depth="all").matched_auc == 0.0


def test_a_study_without_two_networks_of_the_reference_has_no_verdict(tmp_path):
    found = verdicts.measure(study(tmp_path), {}, None, "R2222", 0)
    assert found.empty and list(found.columns) == list(verdicts.COLUMNS)
