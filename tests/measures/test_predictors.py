"""What predicts a cell, on cells whose accuracy is made of known parts."""

import itertools

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from modelstitch.figures import predictors as figures
from modelstitch.fitting.pair import train_pair
from modelstitch.measures import predictors
from tests.analysis.written import cells as cells_table
from tests.records import made
from tests.settings import stitch_settings

NAMES = [f"R{a}{b}11_trained_s0" for a in (1, 2) for b in (1, 2, 3)]
PLANTED = ("probe_accuracy", "sender_earlier", "capacity")


def planted(weights, noise=0.01, seed=0):
    """Cells of all ordered pairs of six networks, five layers each; the accuracy is a weighted sum of predictors."""
    generator = np.random.default_rng(seed)
    rows = [
        (sender, receiver, i, j, "trained", "trained")
        for sender, receiver in itertools.product(NAMES, NAMES)
        for i, j in itertools.product(range(5), range(5))
    ]
    table = pd.DataFrame(rows, columns=[*predictors.CELL, *predictors.RECIPES])
    values = generator.standard_normal((len(table), len(PLANTED)))
    table[list(PLANTED)] = values
    outcome = values @ np.array(weights) + noise * generator.standard_normal(len(table))
    return table.assign(accuracy=outcome, excess_over_remapped=np.nan)


def rows_of(found, **values):
    for name, value in values.items():
        found = found[found[name] == value]
    return found.set_index("predictor")


def test_each_planted_predictor_explains_its_share_of_the_variance():
    """Independent ones of variances 4, 1 and 0: 0.8, 0.2 and nothing."""
    found = predictors.measure(planted([2, -1, 0]), folds=5)
    assert tuple(found) == predictors.COLUMNS and set(found.outcome) == {"accuracy"}
    assert (found.pairs == 21).all() and (found.cells == 900).all() and (found.folds == 5).all()
    ridge = found[found.model == "ridge"]
    assert rows_of(ridge, predictors="all").r2[predictors.ALL] == pytest.approx(1, abs=0.01)
    alone, without = rows_of(ridge, predictors="alone"), rows_of(ridge, predictors="without")
    np.testing.assert_allclose(alone.r2[list(PLANTED)], [0.8, 0.2, 0], atol=0.05)
    np.testing.assert_allclose(without["drop"][list(PLANTED)], [0.8, 0.2, 0], atol=0.05)
    np.testing.assert_allclose(without.coefficient[list(PLANTED)], np.array([2, -1, 0]) / 5**0.5, atol=0.05)
    trees = rows_of(found, model="trees", predictors="all").r2[predictors.ALL]
    assert 0.85 < trees < 1
    assert found.coefficient.notna().sum() == len(PLANTED)


def test_what_two_predictors_share_is_lost_with_neither():
    table = planted([1, 0, 0])
    table["capacity"] = table.probe_accuracy
    found = predictors.measure(table, folds=5)
    ridge = found[found.model == "ridge"]
    assert (rows_of(ridge, predictors="alone").r2[["probe_accuracy", "capacity"]] > 0.99).all()
    assert (rows_of(ridge, predictors="without")["drop"].abs() < 0.01).all()


def test_nothing_is_explained_of_noise():
    found = predictors.measure(planted([0, 0, 0], noise=1), folds=5)
    assert (found.r2 < 0.02).all()


def test_what_is_peculiar_to_a_pair_is_not_learned_from_it():
    """A predictor that numbers the pairs explains the training cells alone: trees would remember them."""
    table = planted([0, 0, 0])
    pairs = predictors.pair_of(table)
    assert pairs.nunique() == 21
    level = pairs.map(dict(zip(pairs.unique(), np.random.default_rng(1).standard_normal(21), strict=True)))
    table = table.assign(capacity=pairs.factorize()[0], accuracy=level)
    found = predictors.measure(table, folds=5)
    assert (found.r2 < 0.3).all()


def test_the_score_is_that_of_a_loop_over_folds():
    table = planted([1, 0.5, 0], noise=1)
    groups, values = predictors.pair_of(table), table[["probe_accuracy"]]
    found = predictors.cross_validated(predictors.MODELS["ridge"], values, table.accuracy, groups, 21)
    expected = []
    for pair in groups.unique():
        held = groups == pair
        mean, std = values[~held].mean(), values[~held].std(ddof=0)
        fitted = Ridge(alpha=1.0).fit((values[~held] - mean) / std, table.accuracy[~held])
        error = table.accuracy[held] - fitted.predict((values[held] - mean) / std)
        expected.append(1 - np.square(error).mean() / table.accuracy.var(ddof=0))
    np.testing.assert_allclose(sorted(found), sorted(expected))


def test_without_predictors_the_mean_of_others_explains_next_to_nothing():
    table = planted([1, 1, 1])
    scores = predictors.cross_validated(
        predictors.MODELS["ridge"], table[[]], table.accuracy, predictors.pair_of(table), 5
    )
    assert abs(scores.mean()) < 0.02


def test_a_group_has_what_all_of_its_recipes_have():
    """Remapped labels of trained pairs alone: neither a predictor nor an outcome of all pairs."""
    trained = planted([1, 0, 0]).assign(remapped_accuracy=0.1)
    trained["excess_over_remapped"] = trained.accuracy - 0.1
    random = planted([1, 0, 0], seed=1).assign(sender_recipe="random")
    random["sender"] = random.sender.str.replace("trained", "random")
    found = predictors.measure(pd.concat([trained, random]), folds=3)
    assert found[found.sender_recipe == "trained"].outcome.nunique() == 2
    assert set(found.outcome[found.sender_recipe != "trained"]) == {"accuracy"}
    assert not ((found.sender_recipe == "all") & (found.predictor == "remapped_accuracy")).any()
    over = found[found.outcome == "excess_over_remapped"]
    assert len(over) and "remapped_accuracy" not in set(over.predictor)
    assert found.drop_duplicates(predictors.RECIPES).cells.tolist() == [1800, 900, 900]


def test_one_pair_of_networks_explains_nothing():
    table = planted([1, 0, 0])
    table = table[(table.sender == NAMES[0]) & (table.receiver == NAMES[0])]
    found = predictors.measure(table, folds=5)
    assert found.empty and tuple(found) == predictors.COLUMNS


def test_a_figure_has_a_panel_for_each_group_and_outcome():
    table = planted([1, 0.5, 0]).assign(excess_over_remapped=lambda rows: rows.accuracy - 0.1)
    found = predictors.measure(table, folds=2)
    _, *panels = figures.draw(found).axes
    assert len(panels) == 2
    assert [text.get_text() for text in panels[0].get_yticklabels()] == [figures.WORDS[name] for name in PLANTED]
    alone = found[(found.model == "ridge") & (found.predictors == "alone") & (found.outcome == "accuracy")]
    circles = [line.get_xdata()[0] for line in panels[0].lines if line.get_marker() == "o"]
    assert set(alone.r2) <= set(circles)


def test_a_figure_of_nothing_is_empty():
    assert len(figures.draw(pd.DataFrame(columns=list(predictors.COLUMNS))).axes) == 1


@pytest.fixture(scope="module")
def study(few_digits, few_digits_evidence, trained, random_networks, tmp_path_factory):
    """The records of a pair for the task and on remapped labels, and the cells table."""
    folder = tmp_path_factory.mktemp("predictors")
    paths = []
    for objective in ("task", "remapped"):
        pair = (trained, random_networks[0], few_digits, stitch_settings())
        record, _ = train_pair(*pair, objective=objective, study_seed=0)
        paths.append(made.write(folder, record))
    return paths[0], cells_table(paths, few_digits_evidence)


def test_predictors_of_a_cell_are_those_of_its_layers_and_tables(study, few_digits_evidence):
    path, cells = study
    sizes = predictors.capacities([path], few_digits_evidence)
    probes = pd.DataFrame({"sender": cells.sender[0], "receiver": cells.receiver[0], "sender_layer": range(5)})
    probes["probe_accuracy"] = [0.1, 0.2, 0.3, 0.4, 0.5]
    distances = cells.loc[cells.objective == "task", predictors.CELL].assign(ES_over_variance=np.arange(30) / 30)
    found = predictors.observations(cells, sizes, probes, distances).set_index(["sender_layer", "receiver_layer"])
    assert len(found) == 30
    cell = found.loc[1, 4]
    assert cell.probe_accuracy == 0.2
    assert cell.sender_earlier == pytest.approx(4 / 5 - 1 / 4) and cell.sender_later == 0
    # From a map of 4 channels to one of 8 times as many channels and an eighth of the size: patches of 8 x 8 x 4.
    assert cell.capacity == pytest.approx(np.log10(32 * (4 * 8 * 8 + 1)))
    task = cells[cells.objective == "task"].set_index(["sender_layer", "receiver_layer"])
    remapped = cells[cells.objective == "remapped"].set_index(["sender_layer", "receiver_layer"])
    assert cell.accuracy == task.accuracy[1, 4]
    np.testing.assert_allclose(found.remapped_accuracy, remapped.accuracy[found.index], rtol=0, atol=1e-12)
    assert cell.least_squares_error == distances.ES_over_variance.iloc[(task.index == (1, 4)).argmax()]


def test_without_probes_the_last_column_predicts_the_others(study, few_digits_evidence):
    path, cells = study
    found = predictors.observations(cells, predictors.capacities([path], few_digits_evidence))
    assert len(found) == 25 and "probe_accuracy" not in found and "least_squares_error" not in found
    task = cells[(cells.objective == "task") & (cells.receiver_layer == 5)].set_index("sender_layer").accuracy
    np.testing.assert_array_equal(found.last_column_accuracy, task[found.sender_layer])
