"""Files that come back for the job that would make them again, and for no other."""

from modelstitch.kept import bring_back, forget, keep


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
