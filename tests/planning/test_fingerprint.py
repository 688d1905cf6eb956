"""The fingerprint of code: what changes it, and what does not."""

import gc
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from modelstitch.planning import fingerprint as fingerprints
from modelstitch.planning.fingerprint import fingerprint, imported_modules, imports
from tests.checkout import ROOT

SCRIPTS = ROOT / "workflow_scripts"
FITTING = "modelstitch.fitting"

ORIGINAL = '''
"""A docstring."""

def double(value: int) -> int:
    """Twice the value."""
    return 2 * value  # not three times
'''
COMMENTED = """

def double(value):
    # Another comment.
    return (2
            * value)
"""
# A package with a subpackage, whose modules import each other in every way.
PACKAGE = {
    "__init__.py": "",
    "errors.py": "class Error(Exception): pass\n",
    "config/__init__.py": "",
    "config/study.py": "WIDTH = 4\n",
    "files.py": "from .errors import Error\nKIND = 'files'\n",
    "seeds.py": "START = 0\n",
    "records/__init__.py": "from .layout import Column\n",
    "records/layout.py": "from ..seeds import START\nfrom ..config.study import WIDTH\nclass Column: x: int\n",
    "records/files.py": "from . import layout\nfrom .. import files\n",
    "tables.py": "from .records import Column\n",
    "figures.py": "def draw():\n    from .records.files import layout\n    return layout\n",
    "alone.py": "NUMBER = 1\n",
}


def of_text(folder: Path, text: str) -> str:
    """Fingerprint of a script with this text, in a folder of its own since files are read once."""
    folder.mkdir()
    (folder / "script.py").write_text(text)
    return fingerprint(folder / "script.py")


def test_comments_docstrings_annotations_and_formatting_change_nothing(tmp_path):
    assert of_text(tmp_path / "a", ORIGINAL) == of_text(tmp_path / "b", COMMENTED)


def test_another_constant_is_another_fingerprint(tmp_path):
    assert of_text(tmp_path / "a", ORIGINAL) != of_text(tmp_path / "b", ORIGINAL.replace("2 *", "3 *"))


def test_the_fields_of_a_class_count(tmp_path):
    text = "class A:\n    x: int\n"
    assert of_text(tmp_path / "a", text) != of_text(tmp_path / "b", text.replace("int", "float"))


@pytest.fixture
def packaged(tmp_path, monkeypatch):
    """Makes a package of these files, and of others, with a script beside it; each in a folder of its own."""

    def make(name: str, script: str, **changes: str) -> Path:
        package = tmp_path / name / "modelstitch"
        for file, text in (PACKAGE | {key.replace("__", "/") + ".py": text for key, text in changes.items()}).items():
            (package / file).parent.mkdir(parents=True, exist_ok=True)
            (package / file).write_text(text)
        monkeypatch.setattr(fingerprints, "PACKAGE", package)
        (package.parent / "script.py").write_text(script)
        return package.parent / "script.py"

    return make


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("import modelstitch.alone", ["alone"]),
        ("from modelstitch import alone, files", ["alone", "files"]),
        ("from modelstitch.records import Column", ["records", "records.layout", "seeds"]),
        ("from modelstitch.tables import Column", ["records", "records.layout", "seeds", "tables"]),
        ("import modelstitch.records.files", ["files", "records", "records.files", "records.layout", "seeds"]),
        (
            "from modelstitch import figures",
            ["figures", "files", "records", "records.files", "records.layout", "seeds"],
        ),
        ("from modelstitch.errors import Error", []),
        ("import json, numpy", []),
    ],
)
def test_imports_are_followed_whether_absolute_or_relative(packaged, script, expected):
    assert imported_modules(packaged("one", script)) == [f"modelstitch.{name}" for name in expected]


def test_what_is_imported_by_a_relative_import_changes_the_fingerprint(packaged):
    def found(name, **changes):
        return fingerprint(packaged(name, "from modelstitch.tables import Column", **changes))

    layout = PACKAGE["records/layout.py"]
    assert found("same") == found("again")
    assert found("a", records__layout=layout.replace("int", "float")) != found("same2")
    assert found("b", seeds="START = 1\n") != found("same3")
    assert found("c", alone="NUMBER = 2\n") == found("same4")


def test_modules_that_are_found_by_name_are_covered_with_what_they_import(packaged):
    def found(name, *modules, **changes):
        return fingerprint(packaged(name, "from modelstitch import alone", **changes), modules=modules)

    named = "modelstitch.records.files"
    expected = ["alone", "files", "records", "records.files", "records.layout", "seeds"]
    script = packaged("one", "from modelstitch import alone")
    assert imported_modules(script, [named]) == [f"modelstitch.{name}" for name in expected]
    assert found("a", named) == found("b", named) != found("c")
    assert found("d", named, seeds="START = 1\n") != found("e", named)
    assert found("f", named, records__files="from . import layout\n") != found("g", named)
    assert found("h", seeds="START = 1\n") == found("i")
    assert fingerprint(modules=[named]) == fingerprint(modules=(named, named)) != fingerprint()


def test_the_order_of_scripts_alone_counts_and_not_that_of_modules():
    modules = [f"{FITTING}.protocols.fast", f"{FITTING}.objectives.task"]
    assert fingerprint(modules=modules) == fingerprint(modules=modules[::-1])


@pytest.mark.parametrize("module", ["config__study", "config__other", "errors", "progress", "allocator"])
def test_what_is_told_or_written_into_params_in_full_never_counts(packaged, module):
    script = (
        "from modelstitch.tables import Column\nfrom modelstitch.config import other, study\nimport modelstitch.errors"
    )
    named = f"modelstitch.{module.replace('__', '.')}"
    first = fingerprint(packaged("a", script), modules=[named])
    assert first == fingerprint(packaged("b", script, **{module: "WIDTH = 5\n"}), modules=[named])


def test_a_script_depends_on_what_its_modules_import():
    modules = imported_modules(SCRIPTS / "stitch_pair.py")
    assert {"modelstitch.engine.pair", "modelstitch.engine.grouping", "modelstitch.seeds"} <= set(modules)
    assert {"modelstitch.records", "modelstitch.records.layout", "modelstitch.stitches.files"} <= set(modules)


def test_what_stitches_are_fitted_by_is_no_part_of_a_script_unless_it_is_named():
    script = SCRIPTS / "stitch_pair.py"
    alone = set(imported_modules(script))
    named = {
        f"{FITTING}.protocols.fast": {f"{FITTING}.muon", f"{FITTING}.distillation"},
        f"{FITTING}.objectives.similarity": {f"{FITTING}.matching"},
        "modelstitch.stitches.families.linear": {"modelstitch.stitches.assembly"},
        "modelstitch.networks.sources.timm": {"modelstitch.networks.pretrained"},
    }
    for module, imported in named.items():
        assert module not in alone
        assert {module, *imported} <= set(imported_modules(script, [module]))
        assert fingerprint(script) != fingerprint(script, modules=[module])


@pytest.mark.parametrize("module", ["fitting.pair", "measures.hacking", "figures.pair"])
def test_every_module_that_python_loads_is_found(tmp_path, module):
    script = tmp_path / "script.py"
    script.write_text(f"import modelstitch.{module}\n")
    command = f"import sys, modelstitch.{module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name for name in done.stdout.split() if name.startswith("modelstitch.")}
    counted = {name for name in loaded if not name.startswith(fingerprints.EXCLUDED)}
    assert len(counted) > 3 and counted <= set(imported_modules(script))


def test_figures_do_not_depend_on_how_stitches_are_trained():
    assert "modelstitch.engine.pair" not in imported_modules(SCRIPTS / "draw_pairs.py")
    assert "modelstitch.figures" not in imported_modules(SCRIPTS / "stitch_pair.py")


def test_what_is_told_to_a_person_never_counts():
    for script in SCRIPTS.glob("*.py"):
        modules = set(imported_modules(script))
        assert not {"modelstitch.errors", "modelstitch.progress"} & modules
        assert not [module for module in modules if module.startswith("modelstitch.config")]


def test_every_script_can_be_read():
    for script in SCRIPTS.glob("*.py"):
        assert fingerprint(script)


def test_scripts_without_torch_are_told_from_those_that_load_it():
    assert all(imports("torch", SCRIPTS / f"{name}.py") for name in ("stitch_pair", "train_network", "probe_network"))
    without = [path for path in sorted(SCRIPTS.glob("*.py")) if not imports("torch", path)]
    assert SCRIPTS / "make_tables.py" in without and SCRIPTS / "draw_pairs.py" in without
    code = f"""
import ast, sys
sys.path.append({str(SCRIPTS)!r})
for script in {[str(path) for path in without]}:
    for node in ast.parse(open(script).read()).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            exec(compile(ast.Module([node], []), script, "exec"), {{}})
print("torch" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


@pytest.fixture
def crowded():
    """Where other threads go on whenever memory is collected, which is often."""

    def give_way(phase, details):
        time.sleep(0)

    thresholds = gc.get_threshold()
    gc.callbacks.append(give_way)
    gc.set_threshold(50)
    yield
    gc.set_threshold(*thresholds)
    gc.callbacks.remove(give_way)


def test_threads_read_modules_at_once(crowded):
    """As a run's jobs do: Python's parser alone says `AST constructor recursion depth mismatch`."""
    for cached in (fingerprints._read, fingerprints._imports):
        cached.cache_clear()
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(partial(imports, "torch"), sorted(SCRIPTS.glob("*.py"))))
    assert True in found and False in found
