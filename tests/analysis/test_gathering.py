"""Tables of a large study, made sender by sender, hold what those of a small one do, made at once."""

import itertools
import shutil

import numpy as np
import pandas as pd
import pytest

from modelstitch import records
from modelstitch.analysis import comparisons, diagnostics, gathering, matrices, tables, triangle, uncertainty
from modelstitch.analysis.cells import ORDER, RECORDED, rows_of
from modelstitch.analysis.controls import excesses, over_remapped
from modelstitch.analysis.networks import networks
from modelstitch.errors import ModelstitchError
from tests.analysis.written import gathered, write_network
from tests.records import made

NETWORKS = [
    f"{name}_{recipe}_s{seed}" for recipe in ("trained", "random") for name in ("R1111", "R1112") for seed in (0, 10)
]
CELL = ["objective", "sender", "receiver", "sender_layer", "receiver_layer"]


@pytest.fixture(scope="module")
def study(few_digits, tmp_path_factory):
    """The records of a study with two recipes, two seeds and remapped labels, laid out as a run lays them out."""
    folder, generator, labels = tmp_path_factory.mktemp("study"), np.random.default_rng(0), few_digits.test.labels
    paths = []
    for objective, sender, receiver in itertools.product(("task", "remapped", "remapped-2"), NETWORKS, NETWORKS):
        if objective != "task" and "random" in sender + receiver:
            continue
        rows, layers = (len(made.layers_of(name)) for name in (sender, receiver))
        columns = []
        for j in range(layers):
            shares = 0.8 - 0.5 * np.abs(np.arange(rows) / (rows - 1) - j / (layers - 1))
            right = generator.random((rows, len(labels))) < shares[:, None]
            predictions = np.where(right, labels, 9 - labels).astype(np.uint8)
            accuracies = np.where(generator.random(rows) < 0.05, np.nan, (predictions == labels).mean(axis=1))
            losses = {"train_loss": generator.random((rows, 2)), "train_accuracy": generator.random((rows, 2))}
            columns.append(made.column(j, accuracies, predictions=predictions, **losses))
        about = {"objective": objective, "receiver_accuracy": 0.9, "dataset_digest": few_digits.digest}
        paths.append(folder / objective / sender / f"{receiver}.h5")
        records.write(paths[-1], made.record(columns, sender, receiver, **about))
    return paths


@pytest.fixture(scope="module")
def outcomes(study, few_digits_evidence):
    return gathered(study, few_digits_evidence)


@pytest.fixture(scope="module")
def parts(outcomes, tmp_path_factory):
    """The cells table of the study in parts."""
    folder = tmp_path_factory.mktemp("parts") / "cells.parquet"
    tables.write_parts(gathering.cells(outcomes, by_sender=True), folder)
    return folder


def cells(paths, evidence):
    """The cells table of the records themselves, all at once: what is gathered is held against it."""
    rows = [row for path in paths for row in rows_of(evidence.read(path))]
    table = tables.in_order(pd.DataFrame(rows, columns=list(RECORDED)).astype(RECORDED), ORDER)
    return table.assign(**excesses(table), **over_remapped(table))


def assert_same(whole, parts, keys):
    """The same rows to the last bit, in any order."""
    whole, parts = (table.sort_values(keys, ignore_index=True) for table in (whole, parts))
    pd.testing.assert_frame_equal(whole, parts, check_exact=True)


def test_cells_of_a_large_study_are_those_of_a_small_one(study, few_digits_evidence, outcomes, parts):
    whole = cells(study[::-1], few_digits_evidence)
    ((sender, gathered_whole),) = gathering.cells(outcomes)
    assert sender == "" and whole.excess_over_remapped.notna().any() and whole.excess_over_self.notna().any()
    pd.testing.assert_frame_equal(gathered_whole, whole, check_exact=True)
    assert sorted(path.stem for path in parts.iterdir()) == sorted(NETWORKS)
    assert_same(whole, pd.concat(tables.parts(parts)), CELL)
    one = pd.read_parquet(parts / f"{NETWORKS[1]}.parquet")
    pd.testing.assert_frame_equal(one, tables.in_order(one, ORDER))


def test_a_table_in_parts_is_read_in_one_line_and_one_sender_without_the_others(study, few_digits_evidence, parts):
    whole = pd.read_parquet(parts)
    assert len(whole) == len(cells(study, few_digits_evidence)) and set(whole.sender) == set(NETWORKS)
    assert_same(
        whole[whole.sender == NETWORKS[0]], pd.read_parquet(parts, filters=[("sender", "==", NETWORKS[0])]), CELL
    )
    assert_same(whole, tables.read(parts), CELL)


def test_comparisons_sender_by_sender_are_those_of_the_whole(outcomes):
    ((_, whole),) = comparisons.compare(outcomes)
    found = dict(comparisons.compare(outcomes, by_sender=True))
    assert set(whole.comparison) == {"corresponding", "own_layer", "random_sender", "remapped", "remapped-2"}
    assert all(set(table.sender) == {sender} for sender, table in found.items())
    assert_same(whole, pd.concat(found.values()), [*CELL, "comparison"])


def test_intervals_over_seeds_sender_by_sender_are_those_of_the_whole(study, few_digits_evidence, parts):
    whole = uncertainty.uncertainty(cells(study, few_digits_evidence))
    found = dict(uncertainty.by_sender(parts))
    assert found.keys() == set(NETWORKS) and whole.network_std.notna().any()
    assert_same(whole, pd.concat(found.values()), CELL)


def test_findings_and_matrices_of_parts_are_those_of_the_whole(study, few_digits_evidence, outcomes, parts, tmp_path):
    whole, about = cells(study, few_digits_evidence), networks([write_network(tmp_path, name) for name in NETWORKS])
    expected = diagnostics.find(gathering.with_first_losses([whole], outcomes), about)
    found = diagnostics.find(gathering.with_first_losses(tables.parts(parts), outcomes), about)
    assert {"diverged", "loss rose", "overfitted stitch"} <= set(expected.finding)
    assert_same(expected, found, ["finding", *CELL])
    matrices.write_all(whole, tmp_path / "whole")
    for part in tables.parts(parts):
        matrices.write_all(part, tmp_path / "parts")
    written = {path.relative_to(tmp_path / "whole"): path.read_bytes() for path in (tmp_path / "whole").rglob("*.csv")}
    assert len(written) == 2 * len(study) + 16  # and what is over remapped labels, without relative accuracies
    for path, content in written.items():
        assert (tmp_path / "parts" / path).read_bytes() == content


def test_several_processes_and_threads_give_the_same_bytes(study, few_digits_evidence, outcomes, tmp_path):
    gathering.gather(study[::-1], few_digits_evidence, tmp_path, processes=2)
    files = sorted(outcomes.iterdir())
    assert [path.name for path in files] == sorted(path.name for path in tmp_path.iterdir())
    assert all((tmp_path / path.name).read_bytes() == path.read_bytes() for path in files)
    one, two = triangle.measure(outcomes, 0), triangle.measure(outcomes, 0, threads=2)
    pd.testing.assert_frame_equal(one, two, check_exact=True)


def test_a_damaged_file_is_named(outcomes, tmp_path):
    (tmp_path / f"{NETWORKS[0]}.parquet").write_bytes((outcomes / f"{NETWORKS[0]}.parquet").read_bytes()[:1000])
    with pytest.raises(ModelstitchError, match=rf"{NETWORKS[0]}\.parquet: not a whole table"):
        triangle.measure(tmp_path, 0)
    with pytest.raises(ModelstitchError, match="empty: no outcomes of a study"):
        triangle.measure(tmp_path / "empty", 0)


def test_a_file_of_another_sender_is_refused(outcomes, parts, tmp_path):
    one, other = (f"{name}.parquet" for name in NETWORKS[:2])
    for source in (outcomes, parts):
        folder = tmp_path / source.name
        shutil.copytree(source, folder)
        shutil.copy(source / one, folder / other)
    told = rf"{other}: sender: '{NETWORKS[0]}': expected '{NETWORKS[1]}', by its path"
    with pytest.raises(ModelstitchError, match=told):
        triangle.measure(tmp_path / outcomes.name, 0)
    with pytest.raises(ModelstitchError, match=told):
        list(tables.parts(tmp_path / parts.name))


def test_no_flipped_bit_of_outcomes_or_tables_gives_other_values(outcomes, parts, tmp_path):
    """Each is told, or changes nothing that is read: names of the writer, or padding."""
    generator = np.random.default_rng(0)
    sources = [outcomes / f"{NETWORKS[0]}.parquet", parts / f"{NETWORKS[0]}.parquet"]
    for source, read in zip(
        sources, (lambda path: (gathering.read(path), gathering.read_right(path)), tables.read), strict=True
    ):
        content, whole, damaged, told = source.read_bytes(), read(source), tmp_path / source.name, 0
        for bit in generator.integers(len(content) * 8, size=60).tolist():
            flipped = bytearray(content)
            flipped[bit // 8] ^= 1 << bit % 8
            damaged.write_bytes(flipped)
            try:
                found = read(damaged)
            except ModelstitchError as error:
                told += damaged.name in str(error)
                continue
            (one, *right), (other, *found_right) = (
                (each,) if isinstance(each, pd.DataFrame) else each for each in (whole, found)
            )
            known = [name for name in other if name in one]  # the name of another has the flipped bit
            pd.testing.assert_frame_equal(one[known], other[known])
            np.testing.assert_array_equal(right, found_right)
        assert told > 20
