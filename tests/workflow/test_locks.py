"""The ranges of pyproject.toml, the lock and the conda environments name the same packages and releases."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.checkout import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK_LINES = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line.strip()]
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
OURS = {
    "modelstitch",
    "slurm",
    "workflow_scripts",
    *(path.stem for path in ROOT.glob("workflow_scripts/*.py")),
    "tests",
}
OURS |= {path.stem for folder in ("tests", "benchmarks") for path in ROOT.glob(f"{folder}/*.py")}


def requirements(lines: list[str]) -> list[Requirement]:
    return [Requirement(line) for line in lines]


def pins(lines: list[str]) -> dict[str, set[str]]:
    """Releases of each package in lines like `numpy==2.4.6 ; python_full_version < "3.12"`."""
    releases: dict[str, set[str]] = {}
    for requirement in requirements(lines):
        (pin,) = requirement.specifier
        assert pin.operator == "==", f"{requirement} is not one release"
        releases.setdefault(canonicalize_name(requirement.name), set()).add(pin.version)
    return releases


def pip_section(environment: Path) -> list[str]:
    dependencies = yaml.safe_load(environment.read_text())["dependencies"]
    return next(entry["pip"] for entry in dependencies if isinstance(entry, dict))


def names(lines: list[str]) -> set[str]:
    return {canonicalize_name(requirement.name) for requirement in requirements(lines)}


def imports(path: Path) -> Iterator[str]:
    """Top-level names of the packages that a file imports, anywhere in it."""
    text = path.read_text()
    if path.suffix != ".py":  # Snakemake's language is no Python
        yield from re.findall(r"^\s*(?:import|from)\s+(\w+)", text, re.MULTILINE)
        return
    yield from imported(ast.walk(ast.parse(text)))


def imported(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Top-level names of the packages that statements import."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.partition(".")[0]


LOCKED = pins([line for line in LOCK_LINES if not line.lstrip().startswith("#")])
PACKAGE, EXTRAS = PROJECT["dependencies"], PROJECT["optional-dependencies"]
# What the package can do without, imported where it is asked for: sources of networks.
OPTIONAL = [line for extra, lines in EXTRAS.items() if extra not in ("workflow", "dev") for line in lines]
WORKFLOW = [*PACKAGE, *EXTRAS["workflow"]]
EVERYTHING = [*WORKFLOW, *OPTIONAL, *EXTRAS["dev"]]


@pytest.mark.parametrize("declared", requirements(EVERYTHING), ids=lambda requirement: requirement.name)
def test_declared_range_admits_the_locked_release(declared):
    releases = LOCKED[canonicalize_name(declared.name)]
    assert all(release in declared.specifier for release in releases), f"{declared} against {releases}"


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: path.stem)
def test_environment_names_the_locked_releases(environment):
    named = pins(pip_section(environment))
    assert named == {name: LOCKED.get(name) for name in named}


def test_the_scripts_environment_holds_what_the_package_declares():
    assert names(pip_section(ROOT / "envs/modelstitch.yaml")) == names(PACKAGE)


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: path.stem)
def test_environment_has_a_python_that_the_package_accepts(environment):
    (python,) = [
        Requirement(entry.replace("=", "==", 1))
        for entry in yaml.safe_load(environment.read_text())["dependencies"]
        if isinstance(entry, str) and entry.startswith("python=")
    ]
    (pin,) = python.specifier
    assert Version(pin.version) in SpecifierSet(PROJECT["requires-python"])


@pytest.mark.parametrize(
    ("files", "declared"),
    [
        (["modelstitch/**/*.py"], [*PACKAGE, *OPTIONAL]),
        (["workflow_scripts/*.py"], PACKAGE),
        (["Snakefile", "rules/**/*.smk"], WORKFLOW),
        (["tests/*.py", "benchmarks/*.py"], EVERYTHING),
    ],
    ids=["package", "scripts", "rules", "tests"],
)
def test_every_import_is_of_a_declared_dependency(files, declared):
    providers = metadata.packages_distributions()
    undeclared = {
        f"{path.relative_to(ROOT)} imports {name}"
        for pattern in files
        for path in ROOT.glob(pattern)
        for name in set(imports(path)) - OURS - sys.stdlib_module_names
        if not {canonicalize_name(provider) for provider in providers.get(name, [])} & names(declared)
    }
    assert not undeclared


def test_what_is_optional_is_imported_by_its_own_source_alone_and_never_at_its_top():
    optional = names(OPTIONAL)
    for path in (ROOT / "modelstitch").rglob("*.py"):
        own = {path.stem} if path.parent.name == "sources" else set()
        assert not set(imports(path)) & (optional - own), path
        assert not set(imported(ast.parse(path.read_text()).body)) & optional, path


def test_the_lock_serves_every_platform_and_names_none_of_ours():
    text = "\n".join(LOCK_LINES)
    for marker in ("sys_platform == 'linux'", "sys_platform == 'win32'"):
        assert marker in text
    assert not re.search(r"https?:|file:|--find-links|index-url| -c | -r |(?<!\w)/\w", text)


def test_every_dependency_is_explained():
    page = (ROOT / "docs/dependencies.md").read_text()
    explained = {name for row in re.findall(r"^\| ([a-z][\w, -]+) \| ", page, re.MULTILINE) for name in row.split(", ")}
    assert explained - {"package"} == names(EVERYTHING)
