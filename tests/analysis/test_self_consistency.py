"""Of self-pairs alone, how often another layer serves as well as the layer itself."""

import numpy as np

from modelstitch.analysis.self_consistency import COLUMNS, measure
from tests.analysis.written import cells, write_record
from tests.records.made import EVIDENCE

ONE, OTHER, RANDOM = "R1111_trained_s0", "R1112_trained_s0", "R1111_random_s0"


def slowly(table, objective, networks):
    """The two shares, cell by cell."""
    as_accurate, elsewhere = [], []
    for network in networks:
        chosen = table[(table.objective == objective) & (table.sender == network) & (table.receiver == network)]
        matrix = chosen.pivot(index="sender_layer", columns="receiver_layer", values="accuracy")
        for j in matrix.columns:
            others = [matrix[j][i] for i in matrix.index if i != j and not np.isnan(matrix[j][i])]
            if np.isnan(matrix[j][j]) or not others:
                continue
            as_accurate += [value >= matrix[j][j] for value in others]
            elsewhere.append(max(others) > matrix[j][j])
    return len(as_accurate), np.mean(as_accurate), len(elsewhere), np.mean(elsewhere)


def test_shares_are_those_of_cells_counted_one_by_one(tmp_path):
    def write(objective, sender, receiver, *accuracies, diverged=()):
        folder, layers = tmp_path / objective, (0, 1, 2)
        return write_record(folder, sender, receiver, diverged, accuracies, layers, objective=objective)

    table = cells(
        [
            write("task", ONE, ONE, 0.5, 0.6, 0.6),
            write("task", OTHER, OTHER, 0.9, 0.8, 0.7, diverged=[(1, 1), (0, 2)]),
            write("task", RANDOM, RANDOM, 0.1, 0.2, 0.3),
            write("task", ONE, OTHER, 0.9, 0.9, 0.9),
            write("similarity", ONE, ONE, 0.4, 0.4, 0.1),
            write("remapped", ONE, ONE, 0.1, 0.2, 0.6),
            write("image", ONE, ONE, 0.1, 0.2, 0.6),
        ],
        EVIDENCE,
    )
    found = measure(table)
    assert list(found.columns) == list(COLUMNS)
    names = [("similarity", "trained", "all"), ("similarity", "trained", ONE)]
    names += [("task", "trained", name) for name in ("all", ONE, OTHER)]
    names += [("task", "random", name) for name in ("all", RANDOM)]
    rows = found.set_index(["objective", "recipe", "network"])[list(COLUMNS)[4:]]
    assert set(rows.loc[["similarity", "task"]].index) == set(names)
    assert list(rows.loc["task"].index) == [name[1:] for name in names[2:]]
    for objective, recipe, network in names:
        networks = [each for each in (ONE, OTHER, RANDOM) if network in ("all", each) and recipe in each]
        networks = [each for each in networks if objective == "task" or each == ONE]
        np.testing.assert_allclose(rows.loc[objective, recipe, network], slowly(table, objective, networks))
    # Task: (1, 0), (2, 0), (2, 1), (1, 2) of ONE's six; in columns 0 and 1 a later layer is better, or as good.
    assert tuple(rows.loc["task", "trained", ONE]) == (6, 4 / 6, 3, 1 / 3)
    over = rows.loc["excess_over_remapped", "trained", "all"]
    assert tuple(over) == (6, 4 / 6, 3, 1 / 3)  # .4, .4 and 0: column 2 alone has a better one


def test_a_study_without_self_pairs_has_an_empty_table(tmp_path):
    found = measure(cells([write_record(tmp_path, ONE, OTHER)], EVIDENCE))
    assert found.empty and list(found.columns) == list(COLUMNS)
