"""What `docs/extending.md` says of adding something, done as it stands there, and run."""

import re
from pathlib import Path

import pandas as pd
import pytest

from tests.checkout import ROOT
from tests.workflow.test_workflow import AFTER_STITCHES, FIGURES, changed, checkout, planned, snakemake

# A file's name, maybe what is replaced in it, and the block that follows.
BLOCK = re.compile(r"^`([\w/.]+)`(?:, in place of\s`([^`\n]+)`)?\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PLAIN = {"model": "nets/mine.py:Plain", "arguments": {"width": 4}}
ONE_PAIR = {"networks": {"architectures": ["R1111"]}, "pairs": [{"sender": "trained", "receiver": "trained"}]}


def follow(folder: Path, heading: str) -> list[str]:
    """Do what a section of the walk says; the files that it adds or changes."""
    text = (ROOT / "docs/extending.md").read_text()
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    blocks = BLOCK.findall(section)
    for name, replaced, block in blocks:
        if not replaced:
            assert not (folder / name).exists()
            (folder / name).write_text(block)
            continue
        before = (folder / name).read_text()
        assert before.splitlines().count(replaced) == 1
        (folder / name).write_text(before.replace(f"\n{replaced}\n", f"\n{block}"))
    return list(dict.fromkeys(name for name, _, _ in blocks))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A finished study of one pair."""
    folder = checkout(tmp_path_factory.mktemp("extended"))
    run(folder)
    return folder


def run(folder: Path, **sections: object) -> None:
    result = snakemake(folder, study=changed(**ONE_PAIR | sections))
    assert result.returncode == 0, result.stderr


def jobs(folder: Path, **sections: object) -> dict[str, int]:
    return planned(folder, changed(**ONE_PAIR | sections))


def test_a_network_costs_no_file_of_the_package(folder):
    assert follow(folder, "A network") == ["nets/mine.py"]
    added = {"networks": {"architectures": ["R1111", PLAIN]}}
    assert jobs(folder, **added) == {"train_network": 1, "describe_network": 1, "stitch_pair": 3, **AFTER_STITCHES}
    run(folder, study="plain", **added)
    cells = pd.read_csv(folder / "results/plain/tables/cells.csv")
    assert len(cells) == (5 + 2) ** 2 and cells.accuracy.notna().all()


def test_a_family_costs_its_module_and_its_section_and_re_runs_nothing(folder):
    assert follow(folder, "A family of stitches") == [
        "modelstitch/stitches/families/constant.py",
        "modelstitch/config/families.py",
    ]
    assert jobs(folder) == {}
    constant = {"stitches": {"task": {"family": {"name": "constant"}}}}
    assert jobs(folder, **constant) == {"stitch_pair": 1, **AFTER_STITCHES}
    run(folder, study="constant", **constant)
    cells = pd.read_csv(folder / "results/constant/tables/cells.csv")
    assert len(cells) == 25 and (cells.accuracy == 0.1).all()  # one class, whatever the image


def test_a_measure_costs_five_files_and_re_runs_nothing(folder):
    assert sorted(follow(folder, "A measure")) == [
        "modelstitch/config/measures.py",
        "modelstitch/figures/magnitude.py",
        "modelstitch/measures/magnitude.py",
        "report/magnitude.rst",
        "rules/measures/magnitude.smk",
    ]
    assert jobs(folder) == {}
    measured = {"measures": {"magnitude": {"images": 30}}, "stitches": {"task": {"keep_stitches": True}}}
    run(folder, study="measured", stitches=measured["stitches"])
    added = {"measure_magnitude": 1, "gather_magnitude": 1, "draw_magnitude": 1, "write_explorer": 1}
    assert jobs(folder, study="measured", **measured) == added
    run(folder, study="measured", **measured)
    table = pd.read_csv(folder / "results/measured/tables/magnitude.csv")
    assert len(table) == 25 and (table.magnitude > 0).all()
    assert (folder / "results/measured/figures/magnitude.png").stat().st_size > 5000
    assert jobs(folder, study="measured", **measured | {"figures": {"colormap": "magma"}}) == FIGURES
