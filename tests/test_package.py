"""The package as it is installed: everything that the checkout has, in the wheel."""

import subprocess
import sys
import zipfile

import pytest

from tests.checkout import ROOT, copy_checkout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Names of the files in a wheel of this checkout."""
    source, folder = copy_checkout(tmp_path_factory.mktemp("source")), tmp_path_factory.mktemp("wheel")
    command = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source]
    subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(path).namelist())


def test_every_module_and_data_file_reaches_the_wheel(wheel):
    package = [path for path in (ROOT / "modelstitch").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert len(package) > 50
    assert {path.relative_to(ROOT).as_posix() for path in package} <= wheel


def test_nothing_but_the_package_is_in_the_wheel(wheel):
    assert {name.split("/")[0].split("-")[0] for name in wheel} == {"modelstitch"}
