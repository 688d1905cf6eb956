"""What a study was run with, kept in its folder."""

import pytest
import yaml

from modelstitch.sharing import snapshot

TEXT = "# why: by hand\nstudy: few\nseed: 0\nrate: 1.0e-2\n"


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in {"config/few.yaml": TEXT, "requirements.lock": "numpy==2.4.6", "nets/mine.py": "net"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_file_that_says_all_is_kept_as_it_is(checkout):
    snapshot.keep(checkout / "results/few", ["config/few.yaml"], yaml.safe_load(TEXT), [])
    assert (checkout / "results/few/study/config.yaml").read_text() == TEXT
    assert (checkout / "results/few/study/requirements.lock").read_text() == "numpy==2.4.6"
    assert not (checkout / "results/few/study/CITATION.cff").exists(), "there is none"


def test_what_the_command_line_changed_is_kept_with_the_rest(checkout):
    values = yaml.safe_load(TEXT) | {"study": "few-1", "seed": 1}
    snapshot.keep(checkout / "results/few-1", ["config/few.yaml"], values, [])
    assert yaml.safe_load((checkout / "results/few-1/study/config.yaml").read_text()) == values


def test_several_files_are_kept_as_one(checkout):
    (checkout / "more.yaml").write_text("seed: 0")
    values = yaml.safe_load(TEXT)
    snapshot.keep(checkout / "results/few", ["config/few.yaml", "more.yaml"], values, [])
    assert yaml.safe_load((checkout / "results/few/study/config.yaml").read_text()) == values


def test_networks_of_ones_own_are_kept_within_the_study(checkout, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "far.py"
    outside.write_text("far")
    snapshot.keep(checkout / "results/few", ["config/few.yaml"], {}, ["nets/mine.py", str(outside), "gone.py"])
    kept = {path.name: path.read_text() for path in (checkout / "results/few/study").rglob("*.py")}
    assert kept == {"mine.py": "net", "far.py": "far"}
    assert (checkout / "results/few/study/nets/mine.py").is_file()
