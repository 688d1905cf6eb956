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
EXCLUDED = ("modelstitch.allocator", "modelstitch.config", "modelstitch.errors", "modelstitch.progress")


def fingerprint(*scripts: Path | str, modules: Iterable[str] = ()) -> str:
    """Fingerprint of the scripts and of every module of the package that they import, directly or not.

    Comments, docstrings, annotations of functions and formatting don't count; names, constants and the order of
    statements do.

    Args:
        scripts: of a rule.
        modules: that a job finds by name when it runs (its family, objective, protocol), so that no import names them.
    """
    sources = [Path(script) for script in scripts]
    found = sorted(_closure(sources, modules))
    digest = hashlib.sha256()
    for path in [*sources, *(_file(module) for module in found)]:
        digest.update(f"{path.name}\0{_normalised(path)}\0".encode())
    return digest.hexdigest()[:16]


def imported_modules(script: Path | str, modules: Iterable[str] = ()) -> list[str]:
    """Modules of the package that the script's result depends on, sorted: `["modelstitch.files", ...]`."""
    return sorted(_closure([Path(script)], modules))


def imports(package: str, script: Path | str) -> bool:
    """Whether a script, or a module of this package that it imports, imports another one, such as torch, at its top."""
    files = [Path(script), *map(_file, _closure([Path(script)], ()))]
    return any(name.partition(".")[0] == package for file in files for name in _named_imports(file, _tree(file).body))


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
    return tuple(module for name in _named_imports(path) for module in _modules_of(name))


def _named_imports(path: Path, statements: Iterable[ast.AST] | None = None) -> Iterator[str]:
    """Names that a file imports, anywhere or by some of its statements."""
    for node in ast.walk(_tree(path)) if statements is None else statements:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*_package(path, node.level), *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _package(path: Path, level: int) -> list[str]:
    """The package that a relative import of so many dots starts from."""
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
