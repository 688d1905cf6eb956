"""A study as one zip: what is in it, and what is refused."""

import hashlib
import os
import zipfile

import pytest
from rocrate.rocrate import ROCrate

from modelstitch.__main__ import main
from modelstitch.errors import ModelstitchError
from modelstitch.sharing import account, archive
from tests.sharing import made


def contents(path):
    with zipfile.ZipFile(path) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def test_an_archive_holds_every_file_and_its_checksum(tmp_path):
    found = contents(archive.write(made.study(tmp_path), tmp_path / "few.zip"))
    assert {name: found[name] for name in made.FILES} == made.FILES
    lines = found.pop("manifest-sha256.txt").decode().splitlines()
    assert lines == [f"{hashlib.sha256(found[name]).hexdigest()}  {name}" for name in sorted(found)]
    assert set(found) == {*made.FILES, account.NAME, "ro-crate-metadata.json"}


def test_equal_studies_are_equal_bytes(tmp_path):
    folder = made.study(tmp_path)
    first = archive.write(folder, tmp_path / "first.zip").read_bytes()
    for index, name in enumerate(made.FILES):
        os.utime(folder / name, (index, index))
        (folder / name).chmod(0o600)
    assert archive.write(folder, tmp_path / "second.zip").read_bytes() == first


def test_other_programs_read_it_as_an_ro_crate(tmp_path):
    crate = ROCrate(archive.write(made.study(tmp_path), tmp_path / "few.zip"))
    assert crate.name == "few" and str(crate.datePublished).startswith("2023-11-14 22:14:20")
    assert crate.get("study/config.yaml")["description"] == "the study's config, as it was run"
    assert {"tables/", "stitches/", "figures/"} <= {part.id for part in crate.root_dataset["hasPart"]}
    (run,) = crate.get_by_type("CreateAction")
    assert run["instrument"]["version"].endswith(f", commit {'a' * 40}")
    assert run["startTime"] == "2023-11-14T22:13:20+00:00" and "cores" in run["description"]
    assert run["object"] == [crate.get("study/config.yaml"), crate.get("study/requirements.lock")]


def test_what_is_hidden_or_unfinished_is_left_out_and_links_are_followed(tmp_path):
    folder = made.study(tmp_path)
    for name in (".h5.part", "networks/a.checkpoint", "stitches/.a.h5.kept", ".cache/a.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("")
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch/probes.csv").write_text("1")
    (folder / "measures").symlink_to(tmp_path / "scratch")
    found = contents(archive.write(folder, tmp_path / "few.zip"))
    assert found["measures/probes.csv"] == b"1"
    assert {name for name in found if name.startswith(".") or "/." in name} == {"figures/pairs/.snakemake_timestamp"}
    assert "networks/a.checkpoint" not in found


def spoiled(name, content=b"", gone=False):
    def spoil(folder):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink() if gone else path.write_bytes(content)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (spoiled(account.NAME, gone=True), "few: has no provenance.jsonl.gz, which the end of a run writes"),
        (spoiled("study/config.yaml", gone=True), "few: has no study/config.yaml"),
        (spoiled("stitches/task/a/b.h5"), "does not tell what made 1 of its files (stitches/task/a/b.h5)"),
        (spoiled("manifest-sha256.txt"), "manifest-sha256.txt: an archive has one of its own"),
        (spoiled("tables/a\nb.csv"), r"tables/a\nb.csv: not a name that other systems have"),
        (lambda folder: (folder / "measures").symlink_to(folder), "measures: a link to a folder of the study"),
    ],
)
def test_what_could_not_be_restored_is_refused(tmp_path, capsys, spoil, expected):
    folder = made.study(tmp_path)
    spoil(folder)
    assert main(["archive", str(folder), str(tmp_path / "few.zip")]) == 1
    captured = capsys.readouterr()
    assert expected in captured.err and captured.err.count("\n") == 1
    assert os.listdir(tmp_path) == ["results"]


def test_nothing_is_replaced(tmp_path):
    (tmp_path / "few.zip").write_text("mine")
    with pytest.raises(ModelstitchError, match=r"few\.zip: is there already"):
        archive.write(made.study(tmp_path), tmp_path / "few.zip")
    assert (tmp_path / "few.zip").read_text() == "mine"
    with pytest.raises(ModelstitchError, match="nowhere: no such folder"):
        archive.write(tmp_path / "nowhere")


def test_the_name_is_that_of_the_study(tmp_path, monkeypatch, capsys):
    made.study(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["archive", "results/few"]) == 0
    assert capsys.readouterr().out.startswith("few.zip: ") and (tmp_path / "few.zip").is_file()
