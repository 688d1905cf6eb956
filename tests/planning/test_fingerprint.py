"""The fingerprint of code: what changes it, and what does not."""

from pathlib import Path

from modelstitch.planning.fingerprint import fingerprint, imported_modules
from tests.checkout import ROOT

SCRIPTS = ROOT / "workflow_scripts"

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


def test_a_script_depends_on_what_its_modules_import():
    modules = imported_modules(SCRIPTS / "stitch_pair.py")
    assert {"modelstitch.engine.stitching", "modelstitch.engine.grouping", "modelstitch.seeds"} <= set(modules)


def test_figures_do_not_depend_on_how_stitches_are_trained():
    assert "modelstitch.engine.stitching" not in imported_modules(SCRIPTS / "draw_pairs.py")
    assert "modelstitch.figures" not in imported_modules(SCRIPTS / "stitch_pair.py")


def test_what_is_told_to_a_person_never_counts():
    for script in SCRIPTS.glob("*.py"):
        assert not {"modelstitch.errors", "modelstitch.progress"} & set(imported_modules(script))
