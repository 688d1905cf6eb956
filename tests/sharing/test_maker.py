"""Who makes a result: told by what is there, and read back from a job's log."""

import platform
import subprocess
from importlib import metadata

import modelstitch
from modelstitch.sharing.maker import commit_of, describe_maker, maker_of, to_line


def git(folder, *arguments):
    name = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    done = subprocess.run(["git", *name, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_commit_is_that_of_the_checkout_and_says_what_differs(tmp_path):
    git(tmp_path, "init")
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-m", "one")
    git(tmp_path, "tag", "v1")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert commit_of(tmp_path) == commit and len(commit) == 40
    (tmp_path / "beside").write_text("not tracked")
    assert commit_of(tmp_path) == commit
    (tmp_path / "file").write_text("two")
    assert commit_of(tmp_path) == f"{commit}-dirty"
    (tmp_path / "unpacked").mkdir()
    assert commit_of(tmp_path / "unpacked") == "", "a folder within somebody's repository is not that repository"


def test_a_maker_is_told_by_releases_and_machine_and_never_by_name():
    maker = describe_maker({"seed": 3})
    assert maker["versions"]["modelstitch"] == modelstitch.__version__
    assert maker["versions"]["torch"] == metadata.version("torch")
    assert maker["machine"]["cores"] > 0 and maker["machine"]["processor"]
    assert maker["params"] == {"seed": 3}
    node = platform.node()
    assert not [value for value in maker["machine"].values() if value == node or node in str(value).split()]


def test_a_log_says_first_who_wrote_it(tmp_path):
    maker = describe_maker({"code": "1234", "pairs": [("a", "b")], "by": " INFO by {", "none": None})
    log = tmp_path / "job.log"
    log.write_text(f"2026-01-02 03:04:05,678 INFO {to_line(maker)}\n2026-01-02 03:04:06,678 INFO by hand\n")
    assert maker_of(log) == maker | {"params": maker["params"] | {"pairs": [["a", "b"]]}}


def test_a_log_that_tells_nothing_is_no_mistake(tmp_path):
    log = tmp_path / "job.log"
    for text in ("", "2026 INFO begun by {hand}\n", "2026 INFO by []\n", "2026 INFO by {", "\x80\n"):
        log.write_bytes(text.encode("latin-1"))
        assert maker_of(log) is None
    assert maker_of(tmp_path / "nowhere.log") is None
