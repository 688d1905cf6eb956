"""Checks the text of a study file before it is parsed: an error names file, line and mistake in one sentence.

Some things that YAML allows, but no study needs, are refused here: aliases that contain themselves or expand to more
than the memory holds, and numbers that YAML reads differently from how they look.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import yaml

from modelstitch.errors import ModelstitchError, printable

MAX_VALUES, MAX_DEPTH = 100_000, 50
MAX_BYTES = 2**22
SAFE = yaml.SafeLoader.yaml_constructors.keys()
MERGE = "tag:yaml.org,2002:merge"  # <<
# YAML 1.1 reads 010 as 8, and 1:30 as 90.
OTHER_NUMBER = re.compile(r"[-+]?0[0-7_]+|[-+]?[1-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\xff\xfe\0\0": "UTF-32", b"\0\0\xfe\xff": "UTF-32"}


def check_file(path: Path | str, name: str = "") -> None:
    """Check the text of a study file.

    Args:
        path: path of the file.
        name: name of the file in errors; by default its path.

    Raises:
        ModelstitchError: if it can't be read, is not a single YAML document in UTF-8 with keys at its top, has a key
            twice (one line for each), or one of the mistakes above.
    """
    name = name or str(path)
    node = _composed(_text(Path(path), name), name)
    _measure(node, name, {}, [])
    if repeated := list(_repeated_keys(node, "")):
        raise ModelstitchError("\n".join(f"{name}: {printable(line)}" for line in repeated))


def _text(path: Path, name: str) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ModelstitchError(f"{name}: no such file: expected a study, as config/config.yaml is one") from None
    except OSError as error:
        raise ModelstitchError(f"{name}: can't be opened: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise ModelstitchError(f"{name}: is longer than {MAX_BYTES:,} bytes: expected a study file")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        encoding = next((MARKS[mark] for mark in sorted(MARKS, key=len)[::-1] if content.startswith(mark)), None)
        if encoding:
            raise ModelstitchError(f"{name}: is {encoding}: expected UTF-8: save it as that") from error
        line, byte = content[: error.start].count(b"\n") + 1, content[error.start]
        raise ModelstitchError(
            f"{name}: line {line}: byte 0x{byte:02x} is not UTF-8, perhaps latin-1: save the file as UTF-8"
        ) from error


def _composed(text: str, name: str) -> yaml.MappingNode:
    """The file's YAML nodes; an alias is the node that it names."""
    try:
        documents = list(yaml.compose_all(text, yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        mark, problem = error.problem_mark or error.context_mark, error.problem or error.context
        if "'\\t'" in str(problem):
            problem = "a tab: indent by spaces"
        _fail(name, mark, printable(str(problem)))
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise ModelstitchError(f"{name}: line {line}: character U+{error.character:04X}: expected text") from error
    except RecursionError:
        raise ModelstitchError(f"{name}: is nested more than {MAX_DEPTH} deep: expected a study file") from None
    if len(documents) > 1:
        _fail(name, documents[1].start_mark, "a second document begins (---): expected one study in a file")
    if not documents or not isinstance(documents[0], yaml.MappingNode):
        raise ModelstitchError(f"{name}: expected a study, a mapping (key: value) at the top of the file")
    return documents[0]


def _measure(node: yaml.Node, name: str, known: dict[int, tuple[int, int]], above: list[int]) -> tuple[int, int]:
    """How many values a node has with all aliases expanded, and how deep they are nested."""
    if id(node) in above:
        _fail(name, node.start_mark, "an alias stands within what it names: expected an end")
    if id(node) not in known:
        values, depth = 1, 1
        for child in _children(node):
            more, deep = _measure(child, name, known, [*above, id(node)])
            values, depth = values + more, max(depth, deep + 1)
        if values > MAX_VALUES:
            _fail(name, node.start_mark, f"aliases stand for more than {MAX_VALUES:,} values: expected a study file")
        if depth > MAX_DEPTH:
            _fail(name, node.start_mark, f"is nested more than {MAX_DEPTH} deep: expected a study file")
        _check_value(node, name)
        known[id(node)] = values, depth
    return known[id(node)]


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _check_value(node: yaml.Node, name: str) -> None:
    if node.tag == MERGE:
        return
    if node.tag not in SAFE:
        _fail(name, node.start_mark, f"the tag {printable(node.tag)}: expected plain values")
    if not isinstance(node, yaml.ScalarNode):
        return
    if node.style is None and node.tag.endswith((":int", ":float")) and OTHER_NUMBER.fullmatch(node.value):
        number = yaml.safe_load(node.value)
        _fail(name, node.start_mark, f"{node.value} is {number} to YAML: write {number}, or the number without zeros")
    try:
        yaml.SafeLoader("").construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        reason = printable(str(error).splitlines()[0])
        _fail(name, node.start_mark, f"{printable(node.value)[:40]!r} can't be read ({reason})")


def _repeated_keys(node: yaml.Node, place: str) -> Iterator[str]:
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _repeated_keys(item, f"{place}[{index}]")
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            name, line = f"{place}.{key.value}".removeprefix("."), key.start_mark.line + 1
            if name in lines:
                yield f"{name}: stands in line {lines[name]} and again in line {line}: expected once"
            lines.setdefault(name, line)
            yield from _repeated_keys(value, name)


def _fail(name: str, mark: yaml.Mark, problem: str) -> NoReturn:
    raise ModelstitchError(f"{name}: line {mark.line + 1}: {problem}")
