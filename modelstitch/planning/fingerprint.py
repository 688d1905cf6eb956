"""What a result owes to the code: a fingerprint that comments and formatting don't change.

Standard library only: it is computed for every rule before anything is planned.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
# Never part of a result: what is told to a person, what is written into `params` in full anyway (the config), and where
# memory comes from.
EXCLUDED = frozenset(
    {f"modelstitch{name}" for name in ("", ".allocator", ".config", ".errors", ".progress")},
)


def fingerprint(*scripts: Path | str) -> str:
    """Fingerprint of the scripts and of every module of the package that they import, directly or not.

    Comments, docstrings, annotations of functions and formatting don't count; names, constants and the order of
    statements do.
    """
    sources = [Path(script) for script in scripts]
    modules = sorted(_closure(sources))
    digest = hashlib.sha256()
    for path in [*sources, *(_file(module) for module in modules)]:
        digest.update(f"{path.name}\0{_normalised(path)}\0".encode())
    return digest.hexdigest()[:16]


def imported_modules(script: Path | str) -> list[str]:
    """Modules of the package that the script's result depends on, sorted: `["modelstitch.files", ...]`."""
    return sorted(_closure([Path(script)]))


def _closure(scripts: Iterable[Path]) -> set[str]:
    found: set[str] = set()
    waiting = list(scripts)
    while waiting:
        new = set(_imports(waiting.pop())) - found - EXCLUDED
        found |= new
        waiting.extend(_file(module) for module in new)
    return found


@cache
def _imports(path: Path) -> tuple[str, ...]:
    return tuple(module for name in _named_imports(_tree(path)) for module in _modules_of(name))


def _named_imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


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


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@cache
def _normalised(path: Path) -> str:
    return ast.unparse(_Bare().visit(_tree(path)))


class _Bare(ast.NodeTransformer):
    """Drop docstrings and the annotations of functions. Those of a class stay: dataclasses are made of them."""

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
