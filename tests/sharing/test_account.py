"""The account of a study: what it tells of a file, and that nothing strange is taken from it."""

import gzip
import json

import pytest

from modelstitch.__main__ import main
from modelstitch.errors import ModelstitchError
from modelstitch.sharing import account
from modelstitch.sharing.account import Account
from tests.sharing import made

RECORD = {"rule": "make_tables"}


def written(path, *lines):
    with gzip.open(path, "wt") as file:
        file.writelines(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
    return path


def test_what_made_a_file_is_told_by_one_command(tmp_path, capsys):
    folder = made.study(tmp_path)
    assert main(["provenance", str(folder / "tables/cells.csv")]) == 0
    told = capsys.readouterr().out
    for expected in (
        "rule      make_tables\n",
        "inputs    results/few/data/dataset.h5\n",
        "time      2023-11-14 22:13:20 UTC to 2023-11-14 22:14:20 UTC\n",
        f"commit    {'a' * 40}\n",
        "study/config.yaml\n",
        "seed: 0\n",
        "code: 0123456789abcdef\n",
        "versions  modelstitch ",
        " cores, ",
    ):
        assert expected in told


def test_a_file_in_a_folder_that_is_one_output_was_made_with_it(tmp_path):
    folder = made.study(tmp_path)
    assert "draw_pairs" in account.describe(folder / "figures/pairs/task/R1111_trained_s0/R1111_trained_s0.png")


def test_many_inputs_are_counted(tmp_path):
    folder = made.study(tmp_path)
    record = made.RECORD | {"input": [f"{index}.h5" for index in range(1234)]}
    account.write(folder / account.NAME, Account("1", {"tables/cells.csv": {"record": record, "by": None}}))
    assert "inputs    0.h5, 1.h5, 2.h5, and 1,231 more" in account.describe(folder / "tables/cells.csv")


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("results/few/tables/nowhere.csv", "nowhere.csv: no such file: expected a result"),
        ("results/few/study/config.yaml", "few/provenance.jsonl.gz does not tell what made it"),
        ("beside.txt", "beside.txt: no provenance.jsonl.gz in a folder above it"),
    ],
)
def test_a_file_of_which_nothing_tells_what_made_it(tmp_path, capsys, file, expected):
    made.study(tmp_path)
    (tmp_path / "beside.txt").write_text("")
    assert main(["provenance", str(tmp_path / file)]) == 1
    captured = capsys.readouterr()
    assert expected in captured.err and captured.err.count("\n") == 1 and not captured.out


def test_what_is_written_is_read(tmp_path):
    told = Account("7", {"tables/a.csv": {"record": RECORD, "by": None}})
    account.write(tmp_path / account.NAME, told)
    assert account.read(tmp_path / account.NAME) == told
    assert account.read(tmp_path / account.NAME, identity_alone=True) == Account("7")
    assert account.read(tmp_path / "nowhere.jsonl.gz") == Account()


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ({"file": "a.csv", "record": RECORD},),
        ({"id": "1"}, {"file": "../other/a.csv", "record": RECORD}),
        ({"id": "1"}, {"file": "/etc/a.csv", "record": RECORD}),
        ({"id": "1"}, {"file": "", "record": RECORD}),
        ({"id": "1"}, {"file": 3, "record": RECORD}),
        ({"id": "1"}, {"file": "a.csv", "record": []}),
        ({"id": "1"}, {"file": "a.csv", "record": RECORD, "by": {"commit": 3}}),
        ({"id": "1"}, []),
        ({"id": "1"}, "[" * 100_000),
        ({"id": "1"}, "{]\n"),
    ],
    ids=str,
)
def test_an_account_that_no_run_writes_is_damaged(tmp_path, lines):
    path = written(tmp_path / account.NAME, *lines)
    with pytest.raises(ModelstitchError, match=r"provenance\.jsonl\.gz: is damaged") as raised:
        account.read(path)
    assert "\n" not in str(raised.value)


def test_a_line_beyond_all_bounds_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(account, "LONGEST", 1000)
    path = written(tmp_path / account.NAME, {"id": "1"}, " " * 10_000)
    with pytest.raises(ModelstitchError, match="longer than any study's"):
        account.read(path)
