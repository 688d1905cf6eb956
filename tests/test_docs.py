"""The documentation: its links lead somewhere, its commands name what exists, its code compiles, its notebook runs."""

import ast
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
import yaml
from markdown_it import MarkdownIt
from PIL import Image

from modelstitch.analysis import comparisons, gathering, matrices, tables
from modelstitch.analysis.cells import COLUMNS
from modelstitch.data import datasets
from tests.checkout import ROOT, copy_checkout
from tests.records import made

SITE = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("[a-z]*/README.md")), *SITE]
WORKFLOW = [ROOT / "Snakefile", *ROOT.glob("rules/**/*.smk")]
RULES = {name for path in WORKFLOW for name in re.findall(r"rule (\w+):", path.read_text())}
TARGETS = {*re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE), ".venv/installed"}
SCHEMA = json.loads((ROOT / "config/schema.json").read_text())
COMMAND = re.compile(r"(?<![\w/.-])(snakemake|make|python|pytest)(?= )")
NOTEBOOK = ROOT / "docs/notebook.ipynb"
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def tokens(page: Path):
    return MarkdownIt("commonmark").enable("table").parse(page.read_text())


def inline(page: Path):
    return [child for token in tokens(page) for child in token.children or []]


def slug(heading: str) -> str:
    """The anchor that GitHub and the site give to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    parsed = tokens(page)
    headings = [after.children for token, after in itertools.pairwise(parsed) if token.type == "heading_open"]
    return {slug("".join(child.content for child in children)) for children in headings}


def commands(page: Path) -> list[str]:
    """Command lines of code blocks and code spans, without comments and continuations."""
    blocks = [
        token.content for token in tokens(page) if token.type in ("code_block", "fence") and token.info in ("", "sh")
    ]
    spans = [" ".join(child.content.split()) for child in inline(page) if child.type == "code_inline"]
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()] + spans
    return [line.strip() for line in lines if COMMAND.match(line.strip().lstrip('"'))]


def python_blocks(page: Path) -> list[str]:
    return [token.content for token in tokens(page) if token.type == "fence" and token.info == "python"]


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_relative_link_and_anchor_leads_somewhere(page):
    links = [child.attrs["href"] for child in inline(page) if child.type == "link_open"]
    links += [child.attrs["src"] for child in inline(page) if child.type == "image"]
    for link in links:
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if "gallery" in target.parts:  # drawn by `make gallery`
            continue
        assert target.exists(), f"{page_id(page)}: {link}"
        assert not anchor or anchor in anchors(target), f"{page_id(page)}: {link}"


def missing(command: str) -> list[str]:
    """What a command names that does not exist: studies, profiles, rules, keys, targets of make, files, modules."""
    words = shlex.split(command.split(" #")[0])
    program = words.pop(0)
    if program == "make":
        studies = [word.removeprefix("STUDY=") for word in words if word.startswith("STUDY=")]
        targets = {word for word in words if "=" not in word and not word.startswith("-")}
        return sorted(targets - TARGETS) + absent(studies)
    if program in ("python", "pytest"):
        modules = [name for name in after(words, "-m") if program == "python" and not find_spec(name)]
        return modules + absent([word for word in words if word.endswith(".py")])
    found = absent(after(words, "--configfile")) + absent([f"{name}/config.yaml" for name in after(words, "--profile")])
    keys = [word.partition("=")[0] for word in words[words.index("--config") + 1 :]] if "--config" in words else []
    targets = words[words.index("--") + 1 :] if "--" in words else words[:1]
    found += [key for key in itertools.takewhile(str.isidentifier, keys) if key not in SCHEMA["properties"]]
    return found + [word for word in targets if re.fullmatch(r"[a-z_]+", word) and word not in RULES]


def after(words: list[str], option: str) -> list[str]:
    return [value for word, value in itertools.pairwise(words) if word == option]


def absent(paths: list[str]) -> list[str]:
    ours = {"config/mine.yaml"}  # a study of the reader's own
    return [path for path in paths if path not in ours and "<" not in path and not (ROOT / path).exists()]


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_command_names_what_exists(page):
    assert {command: missing(command) for command in commands(page) if missing(command)} == {}


def test_commands_are_found_and_mistakes_in_them_too():
    assert sum(len(commands(page)) for page in PAGES) > 40
    assert missing("snakemake --cores all --configfile config/nothing.yaml -- forecast") == ["config/nothing.yaml"]
    assert missing("snakemake --cores 1 -- forcast") == ["forcast"]
    assert missing("snakemake --profile slurmy") == ["slurmy/config.yaml"]
    assert missing("make plans STUDY=config/config.yaml  # what would run") == ["plans"]
    assert missing("python benchmarks/nothing.py --help") == ["benchmarks/nothing.py"]
    assert missing("python -m modelstitch.nothing") == ["modelstitch.nothing"]
    assert missing("pytest -q tests/test_nothing.py") == ["tests/test_nothing.py"]
    assert missing("snakemake --cores all --config seeds=1 'figures={width: column}'") == ["seeds"]


# Why a command is not dry-run, by what it asks for.
NOT_PLANNED = {
    "--report": "reads a finished study: tests/workflow/test_workflow.py makes one",
    "--touch": "has nothing to touch before a study is run",
    "--unlock": "takes a lock away: tests/workflow/test_locks.py",
}
# Of a study that takes a minute to plan, one result is planned.
ONE_RESULT = {"config/paper.yaml": "results/paper/stitches/task/R1111_trained_s0/R1112_trained_s0.h5"}
READERS_OWN = {" --configfile config/mine.yaml": "", " --configfile config/<study>.yaml": ""}  # as the default study


def plans() -> list[str]:
    """Dry runs of the pages' commands of Snakemake, each once."""
    found = set()
    for page in PAGES:
        values = {f"${name}": value for name, value in re.findall(r"^ {4}(\w)=(\S+)$", page.read_text(), re.MULTILINE)}
        for command in commands(page):
            for name, value in (READERS_OWN | {"<study>": "photo-digits"} | values).items():
                command = command.replace(name, value)
            words = shlex.split(command, comments=True)
            if words[0] == "snakemake" and not NOT_PLANNED.keys() & set(words):
                found.add(shlex.join(plan(words)))
    return sorted(found)


def plan(words: list[str]) -> list[str]:
    """A command of Snakemake as a dry run of one core."""
    options = [word for word in words[1:] if word != "-n"]
    if "--cores" in options:
        place = options.index("--cores")
        del options[place : place + 2]
    targets = [ONE_RESULT[study] for study in after(options, "--configfile") if study in ONE_RESULT]
    more = ["--", *targets] if targets and "--" not in options else []
    return ["snakemake", "--dry-run", "--cores=1", *options, *more]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy of the checkout with two images of each class where studies expect a folder of images."""
    folder = copy_checkout(tmp_path_factory.mktemp("checkout"))
    for split, name in itertools.product(("train", "test"), range(10)):
        images = folder / "data/cifar10-jpeg" / split / str(name)
        images.mkdir(parents=True)
        for place in range(2):
            shade = np.full((32, 32, 3), 20 * name + place, np.uint8)
            Image.fromarray(shade).save(images / f"{place}.png")
    return folder


@pytest.mark.parametrize("command", plans())
def test_every_command_of_snakemake_can_be_planned(command, checkout):
    done = subprocess.run(
        [sys.executable, "-m", *shlex.split(command)], cwd=checkout, capture_output=True, text=True, env=ENVIRONMENT
    )
    assert done.returncode == 0, done.stderr
    counted = re.search(r"^all +(\d+)", done.stdout, re.MULTILINE)
    assert counted and int(counted[1]) > 0, done.stdout


def test_every_reason_not_to_plan_a_command_is_needed():
    words = {word for page in PAGES for command in commands(page) for word in command.split()}
    assert len(plans()) > 10 and words >= NOT_PLANNED.keys()


def test_every_study_of_the_checkout_is_in_the_pages_that_list_them():
    studies = {path.name for path in ROOT.glob("config/*.yaml")}
    text = (ROOT / "docs/configuration.md").read_text()
    assert {name for name in studies if f"config/{name}" not in text} == set()


def test_every_key_of_a_study_is_explained():
    page = (ROOT / "docs/configuration.md").read_text()
    code = " ".join(re.findall(r"`[^`]+`", page) + re.findall(r"^    .*$", page, re.MULTILINE))
    keys = set(properties(SCHEMA))
    assert len(keys) > 50 and {key for key in keys if not re.search(rf"\b{key}\b", code)} == set()


def properties(schema: object) -> Iterator[str]:
    """Names of the keys that a schema knows, at any depth."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for value in schema.values():
            yield from properties(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from properties(value)


@pytest.mark.parametrize("page", [page for page in PAGES if python_blocks(page)], ids=page_id)
def test_python_compiles(page):
    for block in python_blocks(page):
        # Not Snakemake's language, nor what tests/workflow/test_extending.py puts in the place of a line.
        if page.name != "extending.md" and not re.search(r"^(use )?(rule|module)\b", block, re.MULTILINE):
            compile(block, page_id(page), "exec", ast.PyCF_ONLY_AST)


def write_study(folder: Path) -> None:
    """A study of two networks, stitched to each other and themselves; each accuracy is known."""
    names = ("R1111_trained_s0", "R1122_trained_s0")
    records = []
    for sender, receiver in itertools.product(names, names):
        senders, receivers = (len(made.layers_of(name)) for name in (sender, receiver))
        columns = [made.column(layer, np.arange(1, 1 + senders) / 10 - layer / 100) for layer in range(receivers)]
        records.append(made.write(folder / "stitches", made.record(columns, sender, receiver)))
    gathering.gather(records, made.EVIDENCE, folder / "outcomes")
    paths = folder / "tables/cells.csv", folder / "tables/cells.parquet"
    tables.write_parts(gathering.cells(folder / "outcomes"), *paths)
    for cells in tables.parts(paths[1]):
        matrices.write_all(cells, folder / "matrices")
    tables.write_parts(comparisons.compare(folder / "outcomes"), folder / "tables/comparisons.csv")
    split = datasets.Split(np.arange(16, dtype=np.uint8).reshape(4, 1, 2, 2), np.arange(4) % 2)
    datasets.write(folder / "data/dataset.h5", "made", split, split, ("a", "b"))


@pytest.fixture(scope="module")
def studies(tmp_path_factory) -> Path:
    """A folder with the results of the default study, and those of another seed."""
    folder = tmp_path_factory.mktemp("studies")
    for name in ("photo-digits", "photo-digits-1"):
        write_study(folder / "results" / name)
    return folder


@pytest.mark.parametrize("page", ["docs/results.md", "docs/running.md", "docs/data.md"])
def test_python_that_reads_results_runs_on_a_study(page, studies, monkeypatch):
    monkeypatch.chdir(studies)
    blocks = python_blocks(ROOT / page)
    assert blocks and all("results/" in block for block in blocks)
    for block in blocks:
        exec(compile(block, page, "exec"), {})


def blocks(page: str, language: str) -> list[str]:
    return [token.content for token in tokens(ROOT / page) if token.type == "fence" and token.info == language]


def test_polars_reads_the_parts_of_a_large_study(studies, tmp_path):
    polars = pytest.importorskip("polars", reason="polars is not installed, and nothing else needs it")
    cells = pd.read_parquet(studies / "results/photo-digits/tables/cells.parquet")
    tables.write_parts(cells.groupby("sender"), tmp_path / "cells.parquet")
    parts = f"{tmp_path}/cells.parquet/*.parquet"
    assert polars.read_parquet(parts).shape == polars.scan_parquet(parts).collect().shape == cells.shape


@pytest.mark.parametrize("large", [False, True])
def test_the_query_of_the_page_finds_what_pandas_finds(large, studies, tmp_path, monkeypatch):
    monkeypatch.chdir(studies)
    (query,) = blocks("docs/results.md", "sql")
    cells = pd.read_parquet("results/photo-digits/tables/cells.parquet")
    if large:  # as the section on large studies says
        folder = tmp_path / "tables/cells.parquet"
        tables.write_parts(cells.groupby("sender"), folder)
        query = query.replace("results/photo-digits/tables/cells.parquet", f"{folder}/*.parquet")
    found = duckdb.sql(query).df().set_index(["sender", "receiver"]).iloc[:, 0].sort_index()
    expected = cells[cells.objective == "task"].groupby(["sender", "receiver"]).accuracy.mean()
    assert len(found) == 4 and np.allclose(found, expected)


def test_the_lines_in_r_name_columns_of_the_table_and_run_where_r_is(studies):
    (block,) = blocks("docs/results.md", "r")
    (formula,) = re.findall(r"aggregate\((\w+) ~ (\w+) \+ (\w+), subset\(cells, (\w+) ==", block)
    assert set(formula) <= set(COLUMNS)
    if shutil.which("Rscript") is None:
        pytest.skip("R is not installed: its columns alone were checked")
    done = subprocess.run(["Rscript", "-e", block], cwd=studies, capture_output=True, text=True)
    if "no package called" in done.stderr:
        pytest.skip("R has no package arrow: the columns alone were checked")
    assert done.returncode == 0 and "R1111_trained_s0" in done.stdout, done.stderr


def test_the_bits_of_outcomes_are_read_as_the_page_says(studies, monkeypatch):
    monkeypatch.chdir(studies)
    (block,) = [block for block in python_blocks(ROOT / "docs/results.md") if "unpackbits" in block]
    names: dict = {}
    exec(block, names)
    assert names["right"].shape == (len(names["outcomes"]), len(made.LABELS))
    assert np.allclose(names["right"].mean(axis=1), names["outcomes"].accuracy)


@pytest.mark.parametrize("page", [page for page in PAGES if page.suffix == ".md"], ids=page_id)
def test_yaml_is_yaml(page):
    for token in tokens(page):
        if token.type == "fence" and token.info == "yaml":
            yaml.safe_load(token.content)


def test_every_page_of_the_site_is_in_its_navigation():
    listed = set()
    for page in (ROOT / "docs/index.md", ROOT / "docs/notes/index.md"):
        for block in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(), re.DOTALL):
            listed |= {page.parent / name for name in block.split() if not name.startswith(":")}
    pages = {page.with_suffix("") for page in [*SITE, NOTEBOOK]} - {ROOT / "docs/index"}
    assert {path for path in listed if path.with_suffix("") == path} >= pages


def test_the_site_is_built_without_a_warning(tmp_path):
    """As `make docs` builds it, but for the gallery's figures, which are drawn before."""
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--nitpicky", "--quiet"]
    command += ["-D", "suppress_warnings=image.not_readable", ROOT / "docs", tmp_path]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    home = (tmp_path / "index.html").read_text()
    assert "How to read" in (tmp_path / "stitching.html").read_text() and "stitching.html" in home
    loaded = re.findall(r'<(?:script|link rel="stylesheet")[^>]*(?:src|href)="(https?:[^"]*)"', home)
    assert loaded == [], "a page must not load anything from the network"


def test_the_notebook_runs_and_shows_what_its_text_says():
    book = json.loads(NOTEBOOK.read_text())
    cells = ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"]
    assert len(cells) > 8
    names: dict = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for cell in cells:
            exec(compile(cell, "notebook.ipynb", "exec"), names)
    accuracy, control = names["result"].accuracy, names["control"].accuracy
    assert accuracy.shape == (3, 4) and names["again"].accuracy.equals(accuracy)
    assert accuracy.iloc[-1, -1] > 0.8
    excess: pd.DataFrame = accuracy - control
    assert excess.iloc[:, 0].mean() > 0.3 and excess.iloc[:, -1].mean() < 0.2


def test_the_notebook_keeps_its_outputs_and_no_path_of_a_machine():
    text = NOTEBOOK.read_text()
    book = json.loads(text)
    assert sum(bool(cell.get("outputs")) for cell in book["cells"]) > 6
    assert not re.search(r"/(home|tmp|work|root)/", text)
