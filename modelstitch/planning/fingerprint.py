"""Fingerprints of the code that a result depends on; comments and formatting don't change them.

This module needs the standard library only: every rule has a fingerprint, before anything is planned.
"""

import ast
import hashlib
import threading
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parents[1]
# Never part of a result: what is told to a person, what is written into `params` in full anyway (the config), and where
# memory comes from.
EXCLUDED = ("modelstitch.allocator", "modelstitch.config", "modelstitch.errors", "modelstitch.progress")

# Python 3.11's parser counts how deep it is for all threads together, and fails where two of them parse.
_parsing = threading.Lock()


def fingerprint(*scripts: Path | str, modules: Iterable[str] = ()) -> str:
    """Fingerprint of the scripts and of every module of the package that they import, directly or not.

    Comments, docstrings, annotations of functions and formatting don't count; names, constants and the order of
    statements do.

    Args:
        scripts: the scripts of a rule.
        modules: modules that a job imports by name when it runs (its family, objective, protocol).
    """
    sources = [Path(script) for script in scripts]
    found = sorted(_closure(sources, modules))
    digest = hashlib.sha256()
    for path in [*sources, *(_file(module) for module in found)]:
        digest.update(f"{path.name}\0{_read(path).code}\0".encode())
    return digest.hexdigest()[:16]


def imported_modules(script: Path | str, modules: Iterable[str] = ()) -> list[str]:
    """Modules of the package that the script's result depends on, sorted: `["modelstitch.files", ...]`."""
    return sorted(_closure([Path(script)], modules))


def imports(package: str, script: Path | str) -> bool:
    """Whether a script, or a module of this package that it imports, imports another one, such as torch, at its top."""
    files = [Path(script), *map(_file, _closure([Path(script)], ()))]
    return any(name.partition(".")[0] == package for file in files for name in _read(file).at_top)


def _closure(scripts: Iterable[Path], modules: Iterable[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(scripts)
    named = {module for name in modules for module in _modules_of(name)}
    while waiting or named:
        imported = named | (set(_imports(waiting.pop())) if waiting else set())
        new = {module for module in imported - found if not _excluded(module)}
        named = set()
        found |= new
        waiting.extend(_file(module) for module in new)
    return found


def _excluded(module: str) -> bool:
    return module == PACKAGE.name or any(module == name or module.startswith(f"{name}.") for name in EXCLUDED)


@cache
def _imports(path: Path) -> tuple[str, ...]:
    return tuple(module for name in _read(path).imports for module in _modules_of(name))


def _named_imports(path: Path, statements: Iterable[ast.AST]) -> Iterator[str]:
    """Names that some of a file's statements import."""
    for node in statements:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*_package(path, node.level), *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _package(path: Path, level: int) -> list[str]:
    """The package from which a relative import with `level` dots starts."""
    if not level:
        return []
    parts = path.resolve().relative_to(PACKAGE.parent).parent.parts
    return list(parts[: len(parts) - level + 1])


def _modules_of(name: str) -> Iterator[str]:
    """The package's modules that importing `name` runs: `modelstitch.a.b.f` runs `modelstitch.a` and `.a.b`."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        module = ".".join(parts[:end])
        if parts[0] == PACKAGE.name and _file(module).exists():
            yield module


def _file(module: str) -> Path:
    path = PACKAGE.parent.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


class _Source(NamedTuple):
    """What a file imports, anywhere and at its top, and its code without what does not count."""

    imports: tuple[str, ...]
    at_top: tuple[str, ...]
    code: str


@cache
def _read(path: Path) -> _Source:
    with _parsing:
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    imports, at_top = (tuple(_named_imports(path, nodes)) for nodes in (ast.walk(tree), tree.body))
    return _Source(imports, at_top, ast.unparse(_Bare().visit(tree)))


class _Bare(ast.NodeTransformer):
    """Drops docstrings and annotations of functions. Annotations of classes stay: dataclasses depend on them."""

    def visit(self, node: ast.AST) -> ast.AST:
        self.generic_visit(node)
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if documented and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None
        return node
