"""Tables as files: CSV with every digit, and Parquet with types. They hold no times: equal results give equal bytes.

A table of a large study is a folder with one Parquet file per sender, which readers of Parquet take as one table.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from modelstitch.errors import ModelstitchError
from modelstitch.files import replacing
from modelstitch.identifiers import NETWORK, RECIPES

# Columns whose text may look like numbers: a layer called "2".
TEXT = "(sender|receiver)(_architecture|_layer_name)?|network|architecture|model|layer_name|reason"


def in_order(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The table sorted by these columns, recipes in the order of `RECIPES`."""
    return table.sort_values(
        keys,
        key=lambda column: column.map(RECIPES.index) if column.name.endswith("recipe") else column,
        ignore_index=True,
    )


def write_csv(table: pd.DataFrame, path: Path | str) -> None:
    """Write a table as CSV: every digit of a float, and NaN spelled out."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, na_rep="NaN", lineterminator="\n")


def write_parquet(table: pd.DataFrame, path: Path | str) -> None:
    """Write a table as Parquet."""
    with replacing(path) as temporary:
        table.to_parquet(temporary, index=False, write_page_checksum=True)


def write_parts(parts: Iterable[tuple[str, pd.DataFrame]], *paths: Path | str) -> None:
    """Write a table: whole, to each path in the format of its suffix; or in parts, to folders of these paths.

    Args:
        parts: senders and their tables; or one table with the sender "".
        paths: the files; or the folders, which then hold `<sender>.parquet`.
    """
    for sender, table in parts:
        for path in map(Path, paths):
            if sender:
                write_parquet(table, path / f"{sender}.parquet")
            else:
                (write_parquet if path.suffix == ".parquet" else write_csv)(table, path)


def parts(path: Path | str, one: Callable[[str], object] = str) -> Iterator[pd.DataFrame]:
    """Read a table in parts: a file is one part; a folder has one for each sender, or for several of them.

    Args:
        path: the file or folder.
        one: the key of a sender's part, from its name: senders with one key are read together.

    Raises:
        ModelstitchError: if a file is missing or damaged, naming it.
    """
    if not Path(path).is_dir():
        yield read(path)
        return
    found: dict[object, list[Path]] = {}
    for file in sorted(Path(path).glob("*.parquet")):
        found.setdefault(one(file.stem), []).append(file)
    for together in found.values():
        tables = {file: read(file) for file in together}
        for file, table in tables.items():
            hold(file, table, "sender", file.stem)
        yield pd.concat(tables.values(), ignore_index=True)


def select(path: Path | str, condition: Callable[[pd.DataFrame], pd.Series]) -> pd.DataFrame:
    """The rows of a table that meet a condition; the table is read in parts.

    Raises:
        ModelstitchError: as `parts`.
    """
    return pd.concat([part[condition(part)] for part in parts(path)], ignore_index=True)


def read(path: Path | str, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a table: CSV or Parquet by its suffix, or all parts of a folder.

    Args:
        path: the file or folder.
        columns: columns to read from Parquet; all by default.

    Raises:
        ModelstitchError: if the file is missing or damaged, naming it.
    """
    try:
        if Path(path).suffix == ".parquet":
            return pd.read_parquet(path, columns=columns and list(columns), page_checksum_verification=True)
        names = pd.read_csv(path, nrows=0).columns
        types = {name: str for name in names if re.fullmatch(TEXT, name)}
        table = pd.read_csv(path, dtype=types | ({"width": "Int64"} if "width" in names else {}))
        return table.fillna({"reason": ""}) if "reason" in table else table
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelstitchError(f"{path}: not a whole table ({error}): delete it and run the study again") from error


def read_all(paths: Sequence[Path | str]) -> pd.DataFrame:
    """Read tables with the same columns, and append them.

    Raises:
        ModelstitchError: as `read`.
    """
    return pd.concat([read(path) for path in paths], ignore_index=True)


def read_measured(paths: Sequence[Path | str]) -> pd.DataFrame:
    """Tables of a measure, one after the other, each held against its path.

    Args:
        paths: `.../measures/<measure>/<network>.csv`, `<sender>/<receiver>.csv` there, or with a folder for each
            objective; a table of another kind beside it ends in `.<kind>.csv`.

    Raises:
        ModelstitchError: as `read`, or if a table has rows of something else than its path says.
    """
    found = []
    for path in paths:
        found.append(read(path))
        for name, expected in _named(path, found[-1]).items():
            hold(path, found[-1], name, expected)
    return pd.concat(found, ignore_index=True)


def hold(path: Path | str, table: pd.DataFrame, name: str, expected: str) -> None:
    """Refuse a table which has rows of something else than its path says.

    Raises:
        ModelstitchError: if it has, naming one.
    """
    if name not in table:
        raise ModelstitchError(f"{path}: no column {name!r}: delete it and run the study again")
    others = table.loc[table[name] != expected, name]
    if len(others):
        raise ModelstitchError(
            f"{path}: {name}: {str(others.iloc[0])!r}: expected {expected!r}, by its path: delete it and run "
            "the study again"
        )


def _named(path: Path | str, table: pd.DataFrame) -> dict[str, str]:
    """What the path of a measure's table says, by the table's columns."""
    *folders, file = Path(path).parts
    below = folders[len(folders) - folders[::-1].index("measures") + 1 :]
    network = re.match(NETWORK, file)[0]
    if not below:
        return {"network" if "network" in table else "receiver": network}
    return {"receiver": network, "sender": below[-1]} | dict(zip(["objective"], below[:-1], strict=False))


def gather(parts: Mapping[str, Sequence[Path | str]], wholes: Mapping[str, Path | str]) -> None:
    """Append all tables of each kind of a measure, and write one table per kind.

    Args:
        parts: paths of the tables by kind, as `read_measured` takes them.
        wholes: where each kind's table goes.

    Raises:
        ModelstitchError: as `read_measured` and `write_csv`.
    """
    for kind, path in wholes.items():
        write_csv(read_measured(parts[kind]), path)
