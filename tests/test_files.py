import os

import pytest

from modelstitch.errors import ModelstitchError
from modelstitch.files import bring_back, forget, keep, replacing


def test_a_written_file_replaces_the_old_one_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "new" / "folder" / "file.txt"
    for text in ("old", "new"):
        with replacing(path) as temporary:
            temporary.write_text(text)
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def fail_half_way(path, failure):
    with replacing(path) as temporary:
        temporary.write_text("half of the n")
        raise failure("stop")


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, OSError])
def test_a_failed_writing_leaves_the_old_file_and_nothing_beside_it(tmp_path, failure):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(ModelstitchError if failure is OSError else failure):
        fail_half_way(path, failure)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("half")
        assert path.read_text() == "old"


def test_a_folder_that_cannot_be_made_is_told_with_the_file():
    with pytest.raises(ModelstitchError, match="/dev/full/file: can't be written"), replacing("/dev/full/file"):
        pass


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(ModelstitchError, match=r"file\.txt: can't be written"), replacing(tmp_path / "file.txt"):
        pass
    assert not os.listdir(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes to read-only folders")
def test_a_read_only_folder_is_told_with_the_file(tmp_path):
    tmp_path.chmod(0o500)
    with (
        pytest.raises(ModelstitchError, match=r"file\.txt: can't be written"),
        replacing(tmp_path / "file.txt") as file,
    ):
        file.write_text("new")


def test_kept_files_come_back_for_their_maker_alone_and_all_or_none(tmp_path):
    paths = [tmp_path / "record.h5", tmp_path / "[0]stitches.safetensors"]
    for path in paths:
        path.write_text(path.name)
    keep(paths, "maker")
    assert not bring_back(paths, "other")
    for path in paths:
        path.unlink()
    assert bring_back(paths, "maker")
    assert [path.read_text() for path in paths] == [path.name for path in paths]
    forget(paths[0])
    paths[0].unlink()
    assert not bring_back(paths, "maker")
    assert not paths[0].exists()
    forget(paths[1])
    assert list(tmp_path.iterdir()) == [paths[1]]


def test_a_kept_file_that_was_damaged_stays_away(tmp_path):
    path = tmp_path / "record.h5"
    path.write_text("whole")
    keep([path], "maker")
    path.write_text("damaged")  # the same file by its other name
    path.unlink()
    assert not bring_back([path], "maker")
    path.write_text("new")
    keep([path], "maker")
    path.unlink()
    assert bring_back([path], "maker")
    assert path.read_text() == "new"
