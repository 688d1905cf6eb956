import os

import pytest

from modelstitch.errors import ModelstitchError
from modelstitch.files import replacing


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
