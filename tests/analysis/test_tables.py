"""Tables as files: the same bytes from the same results, types kept."""

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
