"""Digests of what files hold, kept so that nothing is read twice."""

import builtins
import os
import shutil

import pytest

from modelstitch.errors import ModelstitchError
from modelstitch.planning.contents import digest_of_folder

FILES = {"train/cat/1.png": b"one", "train/cat/2.png": b"two", "test/cat/1.png": b"three"}


@pytest.fixture
def folder(tmp_path):
    for name, content in FILES.items():
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).write_bytes(content)
    return tmp_path / "images"


@pytest.fixture
def opened(monkeypatch, folder):
    """Names of the images that are opened."""
    found, real = [], builtins.open

    def watched(file, *arguments, **named):
        if str(file).startswith(str(folder)):
            found.append(os.path.relpath(file, folder))
        return real(file, *arguments, **named)

    monkeypatch.setattr(builtins, "open", watched)
    return found


def test_a_folder_counts_by_names_and_contents_and_not_by_times(folder, tmp_path):
    kept = tmp_path / "kept"
    digest = digest_of_folder(folder, FILES, kept)
    os.utime(folder / "test/cat/1.png", (1, 1))
    assert digest_of_folder(folder, reversed(FILES), kept) == digest
    shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile)
    assert digest_of_folder(tmp_path / "copy", FILES, tmp_path / "elsewhere") == digest
    (folder / "train/cat/2.png").write_bytes(b"Two")
    other = digest_of_folder(folder, FILES, kept)
    (folder / "train/cat/2.png").rename(folder / "train/cat/3.png")
    names = [name.replace("2", "3") for name in FILES]
    assert len({digest, other, digest_of_folder(folder, names, kept), digest_of_folder(folder, names[1:], kept)}) == 4


def test_only_what_changed_is_read_again(folder, tmp_path, opened):
    kept = tmp_path / "kept"
    digest_of_folder(folder, FILES, kept)
    assert sorted(opened) == sorted(FILES)
    opened.clear()
    digest_of_folder(folder, FILES, kept)
    assert opened == []
    os.utime(folder / "test/cat/1.png", (1, 1))
    digest_of_folder(folder, FILES, kept)
    assert opened == ["test/cat/1.png"]


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"train/cat/1.png": 3}', b"\xff"])
def test_what_was_kept_and_damaged_is_made_again(folder, tmp_path, damage):
    kept = tmp_path / "kept"
    digest = digest_of_folder(folder, FILES, kept)
    (place,) = kept.iterdir()
    place.write_bytes(damage)
    assert digest_of_folder(folder, FILES, kept) == digest


def test_a_file_that_is_gone_is_named(folder, tmp_path):
    with pytest.raises(ModelstitchError, match=r"images/none\.png: can't be read: No such file"):
        digest_of_folder(folder, ["none.png"], tmp_path / "kept")
