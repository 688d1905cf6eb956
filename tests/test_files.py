import os
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import pytest
import torch
from safetensors.torch import save_file

from modelstitch.data import datasets
from modelstitch.errors import ModelstitchError
from modelstitch.files import replacing
from modelstitch.networks import weights
from modelstitch.networks.pretrained import read_weights
from modelstitch.records import files as records
from modelstitch.stitches import files as stitches
from tests.checkout import ROOT


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


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_who_may_read_a_file_is_what_the_umask_says_whoever_writes_it(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        with replacing(tmp_path / "network.safetensors") as temporary:
            save_file({"weight": torch.zeros(3)}, temporary)
        with replacing(tmp_path / "dataset.h5") as temporary, h5py.File(temporary, "w"):
            pass
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {mode}


def test_a_full_disk_is_told_with_the_file_that_safetensors_could_not_write(tmp_path):
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], capture_output=True)
    if mount.returncode:
        pytest.skip("file systems can't be mounted here, which needs root")
    try:
        expected = r"network\.safetensors: can't be written: .*No space left on device.*: nothing was kept"
        with (
            pytest.raises(ModelstitchError, match=expected),
            replacing(tmp_path / "network.safetensors") as temporary,
        ):
            save_file({"weight": torch.zeros(100_000)}, temporary)
        assert not os.listdir(tmp_path)
    finally:
        subprocess.run(["umount", tmp_path], check=True)


READERS = {
    "dataset.h5": datasets.read,
    "record.h5": records.read,
    "stitches.safetensors": stitches.read,
    "network.safetensors": weights.load,
    "weights.safetensors": read_weights,
    "weights.pt": read_weights,
}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_another_users_file_is_not_called_damaged():
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is closed to others
        os.chmod(folder, 0o755)
        for name in READERS:
            Path(folder, name).touch(0o600)
        os.seteuid(12345)
        try:
            for name, read in READERS.items():
                expected = "can't be opened: Permission denied: it belongs to root, who may give read permission"
                with pytest.raises(ModelstitchError, match=f"{name}: {expected}"):
                    read(Path(folder, name))
        finally:
            os.seteuid(0)


@pytest.mark.parametrize("name", ["dataset.h5", "record.h5"])
def test_a_file_that_a_notebook_has_open_is_not_called_damaged(tmp_path, name):
    path = tmp_path / name
    code = f"import h5py; file = h5py.File({str(path)!r}, 'w'); print('open', flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "open\n"
        with pytest.raises(ModelstitchError, match=rf"{name}: another program has it open and locked"):
            READERS[name](path)
    finally:
        process.communicate("\n")
