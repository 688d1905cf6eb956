"""The text of a study file is refused by line, before anything that could take long is made of it."""

import subprocess
import sys
import time

import pytest

from modelstitch.config.text import check_file
from modelstitch.errors import ModelstitchError
from tests.checkout import ROOT
from tests.config.studies import STUDY

LIST_BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)
MAP_BOMB = "a0: &a0 {a: x, b: x, c: x, d: x}\n" + "".join(
    f"a{i}: &a{i} {{{', '.join(f'{key}: *a{i - 1}' for key in 'abcdefghi')}}}\n" for i in range(1, 12)
)
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 3000))
LINES = STUDY.count("\n")


def refusal(folder, content):
    path = folder / "study.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    start = time.process_time()
    with pytest.raises(ModelstitchError) as caught:
        check_file(path)
    assert time.process_time() - start < 20
    assert str(caught.value).isprintable()
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_study_file_passes(path):
    check_file(path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (LIST_BOMB, "line 6: aliases stand for more than 100,000 values: expected a study file"),
        (MAP_BOMB, "line 6: aliases stand for more than 100,000 values: expected a study file"),
        (CHAIN, "line 50: is nested more than 50 deep: expected a study file"),
        (STUDY + "x: " + "[" * 2000 + "]" * 2000, "is nested more than 50 deep: expected a study file"),
        (STUDY + "x: &x [*x]\n", f"line {LINES + 1}: an alias stands within what it names: expected an end"),
        (STUDY + "x: &x {a: {b: *x}}\n", f"line {LINES + 1}: an alias stands within what it names: expected an end"),
        (STUDY + "# Größe\n", None),
        ((STUDY + "# Größe\n").encode("latin-1"), f"line {LINES + 1}: byte 0xf6 is not UTF-8, perhaps latin-1"),
        (STUDY.encode("utf-16"), "is UTF-16: expected UTF-8: save it as that"),
        (STUDY.encode("utf-32"), "is UTF-32: expected UTF-8: save it as that"),
        (STUDY.replace("  width", "\twidth"), "line 7: a tab: indent by spaces"),
        (STUDY + "---\n" + STUDY, f"line {LINES + 3}: a second document begins (---): expected one study in a file"),
        (STUDY + "# \0\n", f"line {LINES + 1}: character U+0000: expected text"),
        (STUDY.replace("seed: 0", "seed: 010"), "line 3: 010 is 8 to YAML: write 8, or the number without zeros"),
        (STUDY.replace("seed: 0", "seed: 1:30"), "line 3: 1:30 is 90 to YAML: write 90"),
        (STUDY.replace("seed: 0", "seed: 2024-13-45"), "line 3: '2024-13-45' can't be read (month must be in 1..12)"),
        (STUDY.replace("seed: 0", "seed: " + "9" * 5000), "line 3: '" + "9" * 40 + "' can't be read (Exceeds"),
        (STUDY.replace("seed: 0", "seed: !!python/name:os.system"), "line 3: the tag tag:yaml.org,2002:python/name"),
        (STUDY.replace("seed: 0", "seed: *unknown"), "line 3: found undefined alias 'unknown'"),
        (STUDY.replace("seed: 0", "seed: 0\nseed: 1"), "seed: stands in line 3 and again in line 4: expected once"),
        (STUDY + '"\\e[2J": 1\n"\\e[2J": 1\n', "\\x1b[2J: stands in line"),
        ("", "expected a study, a mapping (key: value) at the top of the file"),
        ("- R1111\n", "expected a study, a mapping (key: value) at the top of the file"),
    ],
)
def test_what_is_no_study_file_is_refused_in_one_line_that_says_where(tmp_path, content, expected):
    if expected is None:
        (tmp_path / "study.yaml").write_text(content, encoding="utf-8")
        check_file(tmp_path / "study.yaml")
    else:
        assert refusal(tmp_path, content).startswith(expected)


def test_numbers_that_look_like_what_they_are_pass(tmp_path):
    for number in ("0", "-1", "0.5", "0x10", "1_000", "00.5", "'010'", "1e-3"):
        (tmp_path / "study.yaml").write_text(STUDY.replace("seed: 0", f"seed: {number}"))
        check_file(tmp_path / "study.yaml")


def test_a_file_that_is_not_there_or_no_file_is_named(tmp_path):
    with pytest.raises(ModelstitchError, match=r"nowhere\.yaml: no such file: expected a study"):
        check_file("nowhere.yaml")
    with pytest.raises(ModelstitchError, match=r"study: can't be opened: Is a directory"):
        check_file(tmp_path, "study")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["--configfile", "nowhere.yaml"],
            "nowhere.yaml: no such file: expected a study, as config/config.yaml is one",
        ),
        (["--configfile", "tab.yaml"], "tab.yaml: line 2: a tab: indent by spaces"),
        (["--configfile=bomb.yaml"], "bomb.yaml: line 6: aliases stand for more than 100,000 values"),
        (
            ["--config", "figures.colormap=magma"],
            "--config figures.colormap=magma: expected the nested form: --config 'figures={colormap: magma}'",
        ),
        (
            ["--config", "stitches.task.epochs=2"],
            "--config stitches.task.epochs=2: expected the nested form: --config 'stitches={task: {epochs: 2}}'",
        ),
        (["--config", "seed"], "--config seed: expected key=value: --config seed=1"),
    ],
)
def test_a_mistake_is_told_before_snakemake_reads_the_file(tmp_path, arguments, expected):
    (tmp_path / "Snakefile").write_text("rule all:\n    shell: 'true'\n")
    (tmp_path / "profiles").symlink_to(ROOT / "profiles")
    (tmp_path / "tab.yaml").write_text("a:\n\tb: 1\n")
    (tmp_path / "bomb.yaml").write_text(LIST_BOMB)
    command = [sys.executable, "-m", "snakemake", "-n", "--cores", "1", *arguments]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 1
    _, line = result.stderr.splitlines()  # the first tells the profile
    assert line.startswith(expected)
