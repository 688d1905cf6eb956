"""A study from its archive: whole or not at all, and nothing else, whoever made the archive."""

import gzip
import hashlib
import os
import shutil
import stat
import zipfile

import pytest

from modelstitch.__main__ import main
from modelstitch.errors import ModelstitchError
from modelstitch.sharing import account, archive
from modelstitch.sharing.restoring import restore
from tests.damage import flipped
from tests.sharing import made
from tests.workflow.test_workflow import mounted

CONFIG = "study/config.yaml"


@pytest.fixture
def archived(tmp_path):
    return archive.write(made.study(tmp_path / "here"), tmp_path / "few.zip")


@pytest.fixture
def elsewhere(tmp_path):
    (tmp_path / "elsewhere/config").mkdir(parents=True)
    return tmp_path / "elsewhere"


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_study_comes_back_as_it_was(archived, elsewhere, tmp_path):
    lines = restore(archived, elsewhere)
    assert tree(elsewhere / "results") == tree(tmp_path / "here/results")
    assert len({path.stat().st_mtime_ns for path in (elsewhere / "results").rglob("*") if path.is_file()}) == 1
    assert (elsewhere / "config/few.yaml").read_text() == made.CONFIG
    assert f"commit {'a' * 40}" in lines[1] and lines[-1].endswith(f"--configfile {elsewhere}/config/few.yaml")
    again = archive.write(elsewhere / "results/few", tmp_path / "again.zip")
    assert again.read_bytes() == archived.read_bytes()


def test_nothing_is_replaced(archived, elsewhere):
    (elsewhere / "results/few").mkdir(parents=True)
    (elsewhere / "config/few.yaml").write_text("study: few\nseed: 1\n")
    with pytest.raises(ModelstitchError, match="results/few: is there already"):
        restore(archived, elsewhere)
    assert os.listdir(elsewhere / "results") == ["few"] and not os.listdir(elsewhere / "results/few")
    (elsewhere / "results/few").rmdir()
    lines = restore(archived, elsewhere)
    assert (elsewhere / "config/few.yaml").read_text() == "study: few\nseed: 1\n"
    assert lines[-1].endswith(f"--configfile {elsewhere}/results/few/{CONFIG}")


def test_code_of_others_is_told_of_and_put_nowhere(elsewhere, tmp_path):
    folder = made.study(tmp_path / "here", **{"study/nets/mine.py": b"raise SystemExit"})
    lines = restore(archive.write(folder, tmp_path / "few.zip"), elsewhere)
    assert f"{elsewhere}/results/few/study/nets/mine.py: a network's code: read it" in lines[2]
    assert not (elsewhere / "nets").exists()


def test_a_flipped_bit_is_noticed(archived, elsewhere, tmp_path):
    whole, told = tree(tmp_path / "here/results"), []
    (elsewhere / "results").mkdir()
    for place in flipped(archived, 150):
        try:
            restore(archived, elsewhere)
        except ModelstitchError as error:
            told.append(str(error))
            assert not os.listdir(elsewhere / "results"), place
        else:
            assert tree(elsewhere / "results") == whole, place
            shutil.rmtree(elsewhere / "results/few")
    assert len(told) > 75
    assert not [line for line in told if not line.startswith(f"{archived}: ") or "\n" in line]


def test_an_archive_cut_short_restores_nothing(archived, elsewhere):
    content = archived.read_bytes()
    for end in (0, 10, len(content) // 2, len(content) - 1):
        archived.write_bytes(content[:end])
        with pytest.raises(ModelstitchError, match="not a whole archive of a study"):
            restore(archived, elsewhere)
    assert not (elsewhere / "results").exists()


def forged(path, change=None, entries=(), listed=True):
    """An archive as somebody else can make it: other files, of any name and kind, with checksums that agree."""
    with zipfile.ZipFile(path) as opened:
        files = {name: opened.read(name) for name in opened.namelist() if name != "manifest-sha256.txt"}
    files.update(change or {})
    added = [(zipfile.ZipInfo(name), b"content") if isinstance(name, str) else name for name in entries]
    listing = dict(files) | ({info.filename: content for info, content in added} if listed else {})
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in listing.items()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
        for info, content in added:
            opened.writestr(info, content)
        opened.writestr("manifest-sha256.txt", "".join(lines))


def link(name, target):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info, target


OUTSIDE = gzip.compress(b'{"id": "1"}\n{"file": "../../x", "record": {}, "by": null}\n')


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("forgery", "expected"),
    [
        ({"entries": ["../outside"]}, "../outside: not a name"),
        ({"entries": ["tables/../../outside"]}, "tables/../../outside: not a name"),
        ({"entries": ["/tmp/outside"]}, "/tmp/outside: not a name"),
        ({"entries": ["..\\outside"]}, r"..\outside: not a name"),
        ({"entries": ["C:outside"]}, "C:outside: not a name"),
        ({"entries": ["tables//a"]}, "tables//a: not a name"),
        ({"entries": ["a/"]}, "a/: not a name"),
        ({"entries": ["a\x1b[2J"]}, r"a\x1b[2J: not a name"),
        ({"entries": [link("tables/link", b"/etc/passwd")]}, "tables/link: a link"),
        ({"entries": ["unlisted"], "listed": False}, "unlisted: manifest-sha256.txt has another list"),
        ({"entries": ["tables/cells.csv"], "listed": False}, "tables/cells.csv: manifest-sha256.txt has another list"),
        ({"entries": ["tables/cells.csv/a"]}, "can't be restored"),
        ({"entries": ["a" * 300]}, "can't be restored"),
        ({"change": {"zeros": bytes(20_000_000)}}, "more than 200 times as large"),
        ({"change": {CONFIG: b"study: ../outside\n"}}, "study '../outside': not a study's name"),
        ({"change": {CONFIG: b"seed: 1\n"}}, "study None: not a study's name"),
        ({"change": {CONFIG: b"study: [\n"}}, "study/config.yaml"),
        ({"change": {CONFIG: b"- 1\n"}}, "study/config.yaml"),
        ({"change": {account.NAME: OUTSIDE}}, "provenance.jsonl.gz: is damaged"),
        ({"change": {account.NAME: b""}}, "provenance.jsonl.gz: is damaged"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_hostile_archive_leaves_nothing_behind(archived, elsewhere, tmp_path, capsys, monkeypatch, forgery, expected):
    forged(archived, **forgery)
    before = tree(tmp_path)
    monkeypatch.chdir(elsewhere)
    assert main(["restore", str(archived)]) == 1
    captured = capsys.readouterr()
    assert expected in captured.err and captured.err.count("\n") == 1 and captured.err.startswith(str(archived))
    assert tree(tmp_path) == before
    assert not list(elsewhere.glob("results/*")) and not list(elsewhere.glob("results/.*"))


def test_a_file_that_is_no_archive(tmp_path, elsewhere):
    with pytest.raises(ModelstitchError, match=r"nowhere\.zip: no such file: expected an archive of a study"):
        restore(tmp_path / "nowhere.zip", elsewhere)
    (tmp_path / "text.zip").write_text("text")
    with pytest.raises(ModelstitchError, match=r"text\.zip: not a whole archive of a study"):
        restore(tmp_path / "text.zip", elsewhere)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
        other.writestr("a.txt", "a")
    with pytest.raises(ModelstitchError, match=r"other\.zip: not .* \(it has no manifest-sha256\.txt\)"):
        restore(tmp_path / "other.zip", elsewhere)


def test_a_disk_without_room_is_told_before_anything_is_unpacked(elsewhere, tmp_path):
    large = made.study(tmp_path / "here", **{"tables/large.parquet": os.urandom(2_000_000)})
    archived = archive.write(large, tmp_path / "few.zip")
    with mounted(elsewhere, "-t", "tmpfs", "-o", "size=1m", "none"):
        with pytest.raises(ModelstitchError, match=r"results: [\d,]+ bytes are needed, [\d,]+ are free"):
            restore(archived, elsewhere)
        assert not os.listdir(elsewhere / "results")
