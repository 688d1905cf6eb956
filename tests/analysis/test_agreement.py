import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from modelstitch.analysis.agreement import AGREEMENT, CELL, DISAGREEMENT, INDICES, MOST, agreement, disagreement
from modelstitch.figures import paper
from modelstitch.figures.statistical_similarity import draw

LAYERS = 6
PAIRS = [(f"R1111_{sender}_s0", f"R1112_trained_s{seed}") for sender in ("trained", "random") for seed in (0, 1)]


@pytest.fixture
def study():
    """Similarities and accuracies of four pairs, half of them of other recipes; a cell has no result, one no index."""
    generator = np.random.default_rng(0)
    rows = [
        dict(zip(CELL, (sender, receiver, i, f"a.{i}", j, f"b.{j}"), strict=True))
        for sender, receiver in PAIRS
        for i in range(LAYERS)
        for j in range(LAYERS)
    ]
    names = [f"{name}{part}" for name in INDICES for part in ("", "_null", "_calibrated")]
    similarities = pd.DataFrame(rows).assign(**{name: generator.random(len(rows)) for name in names})
    similarities.loc[3, names] = np.nan
    cells = pd.DataFrame(rows).assign(
        objective="task",
        sender_recipe=[row["sender"].split("_")[1] for row in rows],
        receiver_recipe="trained",
        receiver_depth=[row["receiver_layer"] / (LAYERS - 1) for row in rows],
        accuracy=generator.random(len(rows)) + similarities.rsa.fillna(0),
        excess_over_remapped=generator.random(len(rows)),
    )
    cells.loc[5, "accuracy"] = np.nan
    return similarities, cells.sample(frac=1, random_state=0)


def test_agreement_is_the_rank_correlation_of_the_cells(study):
    similarities, cells = study
    table = agreement(similarities, cells)
    assert list(table) == list(AGREEMENT) and len(table) == 2 * 2 * len(INDICES)
    both = cells.merge(similarities, on=CELL).dropna()
    for row in table.itertuples():
        column = f"{row.measure}_calibrated" if row.calibrated else row.measure
        chosen = both[both.sender_recipe == row.sender_recipe]
        pairs = [spearmanr(pair[column], pair.accuracy).statistic for _, pair in chosen.groupby(["sender", "receiver"])]
        late = chosen[chosen.receiver_layer >= 4]  # of depths .8 and 1
        middle = chosen[chosen.receiver_layer.isin([2, 3])]
        assert row.pairs == 2 and row.cells == 2 * LAYERS**2 - 2 * (row.sender_recipe == "trained")
        assert row.spearman == pytest.approx(spearmanr(chosen[column], chosen.accuracy).statistic)
        assert row.spearman_within_pairs == pytest.approx(np.mean(pairs))
        excess = spearmanr(chosen[column], chosen.excess_over_remapped).statistic
        assert row.spearman_excess_over_remapped == pytest.approx(excess)
        assert row.spearman_middle == pytest.approx(spearmanr(middle[column], middle.accuracy).statistic)
        assert row.spearman_late == pytest.approx(spearmanr(late[column], late.accuracy).statistic)


def test_a_study_without_remapped_labels_has_the_rest(study):
    similarities, cells = study
    table, whole = (agreement(similarities, each) for each in (cells.drop(columns="excess_over_remapped"), cells))
    assert table.spearman_excess_over_remapped.isna().all()
    pd.testing.assert_series_equal(table.spearman, whole.spearman)


def test_the_cells_that_disagree_most_have_the_largest_difference_of_ranks(study):
    similarities, cells = study
    table = disagreement(similarities, cells)
    assert list(table) == list(DISAGREEMENT) and len(table) == 2 * len(INDICES) * MOST
    both = cells.merge(similarities, on=CELL).dropna()
    chosen = both[both.sender_recipe == "random"]
    difference = chosen.svcca_calibrated.rank() / len(chosen) - chosen.accuracy.rank() / len(chosen)
    found = table[(table.measure == "svcca") & (table.sender_recipe == "random")]
    expected = difference[difference.abs().sort_values(ascending=False).index[:MOST]]
    np.testing.assert_allclose(found.rank_difference, expected)
    assert found.iloc[0].accuracy == chosen.loc[expected.index[0], "accuracy"]


def test_a_study_of_failed_cells_has_empty_tables(study):
    similarities, cells = study
    failed = cells.assign(accuracy=np.nan)
    assert agreement(similarities, failed).empty and disagreement(similarities, failed).empty


def test_the_figure_has_a_panel_for_each_index_and_two_recipes(study, tmp_path):
    figure = draw(*study, "task", "viridis")
    assert len(figure.axes) == 1 + 2 * len(INDICES)
    dots, rings = figure.axes[1].collections
    assert len(dots.get_offsets()) == 2 * LAYERS**2 - 1 and len(rings.get_offsets()) == MOST
    paper.save(figure, [tmp_path / "figure.png"])
