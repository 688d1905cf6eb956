"""Imports go one way, from room to room; what plans, reads or draws a study needs no torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import modelstitch

PACKAGE = Path(modelstitch.__file__).parent
# Each may import those before it.
ROOMS = (
    "ground",
    "config",
    "records",
    "sharing",
    "data",
    "networks",
    "stitches",
    "engine",
    "fitting",
    "analysis",
    "measures",
    "figures",
    "explorer",
    "planning",
    "public",
)
WITHOUT_TORCH = ("config", "records", "sharing", "analysis", "figures", "explorer")
MODULES = {
    ".".join(("modelstitch", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def room_of(module):
    """The folder of a module; the ground are the modules that lie in none."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and (PACKAGE / parts[1]).is_dir() else "ground"


def imported(path):
    """Modules of the package that a file imports, at its head or within a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            whole = [f"{node.module}.{each.name}" for each in node.names]
            yield from (name if name in MODULES else node.module for name in whole)
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names)


def test_every_folder_is_a_room():
    assert {room_of(module) for module in MODULES} == set(ROOMS)


@pytest.mark.parametrize("module", [name for name in MODULES if name not in ("modelstitch", "modelstitch.__main__")])
def test_a_module_imports_only_from_rooms_before_its_own(module):
    allowed = ROOMS[: ROOMS.index(room_of(module)) + 1]
    found = {name for name in imported(MODULES[module]) if name in MODULES and name != "modelstitch"}
    assert {room_of(name) for name in found} <= set(allowed)


def test_the_package_has_never_heard_of_its_workflow():
    assert not [name for path in MODULES.values() for name in imported(path) if name.startswith("snakemake")]


def test_what_plans_reads_or_draws_imports_no_torch():
    """A second of every job that only tabulates or draws, and of every command line."""
    modules = [name for name in MODULES if room_of(name) in WITHOUT_TORCH]
    modules += ["modelstitch", "modelstitch.__main__"]
    modules += [f"modelstitch.planning.{name}" for name in ("study", "describe", "requests", "disk", "fingerprint")]
    code = f"import sys\nfrom importlib import import_module\nlist(map(import_module, {modules}))\n"
    code += "print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
