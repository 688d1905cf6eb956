"""Tables as files: the same bytes from the same results, types kept."""

from pathlib import Path

import pandas as pd
import pytest

from modelstitch.analysis import tables
from modelstitch.errors import ModelstitchError
from tests.analysis.written import cells, write_record
from tests.records.made import EVIDENCE


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_types_survive_the_file(tmp_path, suffix):
    path = write_record(tmp_path, "R1111_trained_s0", "R1112_trained_s0", diverged=[(1, 0)])
    table = cells([path], EVIDENCE)
    getattr(tables, f"write_{suffix}")(table, tmp_path / f"cells.{suffix}")
    read = tables.read(tmp_path / f"cells.{suffix}")
    pd.testing.assert_frame_equal(read, table)
    assert (read.diverged.dtype.kind, read.sender_layer.dtype.kind) == ("b", "i")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_bytes_depend_on_results_only(tmp_path, suffix):
    pairs = [
        ("R1111_trained_s10", "R1111_trained_s2"),
        ("R1111_random_s0", "R1111_trained_s2"),
        ("R1111_trained_s2", "R1111_trained_s2"),
    ]
    write = getattr(tables, f"write_{suffix}")
    write(cells([write_record(tmp_path, *pair) for pair in pairs], EVIDENCE), tmp_path / "one")
    write(cells([write_record(tmp_path, *pair, seconds=9.0) for pair in reversed(pairs)], EVIDENCE), tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "cells.parquet").write_bytes(b"PAR1")
    with pytest.raises(ModelstitchError, match=r"cells\.parquet: not a whole table"):
        tables.read(tmp_path / "cells.parquet")
    with pytest.raises(ModelstitchError, match=r"none\.csv: not a whole table"):
        tables.read(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("path", "pair"),
    [
        ("measures/probes/b.1_trained_s0.csv", {"network": "b.1_trained_s0"}),
        ("measures/clustered_noise/b_trained_s0.csv", {"receiver": "b_trained_s0"}),
        (
            "measures/distances/a_trained_s0/b.1_trained_s0.csv",
            {"sender": "a_trained_s0", "receiver": "b.1_trained_s0"},
        ),
        (
            "measures/hacking/task/a_trained_s0/b_trained_s0.suffix.csv",
            {"objective": "task", "sender": "a_trained_s0", "receiver": "b_trained_s0"},
        ),
    ],
)
def test_a_measures_table_is_of_what_its_path_says(tmp_path, path, pair):
    table = pd.DataFrame([pair | {"layer": layer} for layer in range(3)])
    tables.write_csv(table, tmp_path / path)
    tables.gather({"cells": [tmp_path / path] * 2}, {"cells": tmp_path / "whole.csv"})
    assert len(tables.read(tmp_path / "whole.csv")) == 6
    for name in pair:
        table.loc[1, name] = "other_trained_s1"
        tables.write_csv(table, tmp_path / path)
        told = rf"{Path(path).name}: {name}: 'other_trained_s1': expected '{pair[name]}', by its path"
        with pytest.raises(ModelstitchError, match=told) as caught:
            tables.gather({"cells": [tmp_path / path]}, {"cells": tmp_path / "whole.csv"})
        assert "\n" not in str(caught.value)
        table.loc[1, name] = pair[name]
    tables.write_csv(table.drop(columns=list(pair)), tmp_path / path)
    with pytest.raises(ModelstitchError, match=f"no column '({'|'.join(pair)}|receiver)'"):
        tables.gather({"cells": [tmp_path / path]}, {"cells": tmp_path / "whole.csv"})
