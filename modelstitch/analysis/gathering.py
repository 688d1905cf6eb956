"""Records read once for every table: a file per sender, of its cells and of which test images they get right.

Tables are made of these files. That of a small study is made at once; that of a large one sender by sender, each beside
the cells that it is compared with, so that the memory is that of a sender.
"""

import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from modelstitch.analysis import outcomes
from modelstitch.analysis.cells import COLUMNS, ORDER, RECORDED, rows_of
from modelstitch.analysis.controls import excesses, over_remapped
from modelstitch.analysis.evidence import Evidence
from modelstitch.analysis.tables import hold, in_order
from modelstitch.errors import ModelstitchError
from modelstitch.files import replacing
from modelstitch.identifiers import RECIPES, NetworkId
from modelstitch.records import Layers

FIRST_LOSS = "first_train_loss"
GATHERED = RECORDED | {FIRST_LOSS: "float64"}
RIGHT = "right"
Known = dict[str, tuple[Layers, str]]  # a network's layers, and the place where they are said


@dataclass(frozen=True)
class Chunk:
    """Some cells of a study, and those that they are compared with.

    Attributes:
        sender: whose cells they are; "" of a whole study.
        table: the cells and the others, C of them.
        own: which of them are not others, bool (C,).
        right: their outcomes, as `outcomes.pack` gives them, where they were asked for.
    """

    sender: str
    table: pd.DataFrame
    own: np.ndarray
    right: np.ndarray | None


def gather(paths: Sequence[Path | str], evidence: Evidence, folder: Path | str, processes: int = 1) -> None:
    """Write `<folder>/<sender>.parquet` for each sender: `GATHERED` of its cells, and `right`, the bits of outcomes.

    Rows are in the order of objectives and receivers, then as in the record: columns after each other.

    Args:
        paths: the records of the pairs; those of one sender are in folders of one name.
        evidence: what they are held against.
        folder: is made where it is missing.
        processes: that read at once.

    Raises:
        ModelstitchError: as `Evidence.read`, if two records say other things of a network's layers, or if a file can't
            be written.
    """
    folders: dict[str, list[Path]] = {}
    for path in map(Path, paths):
        folders.setdefault(path.parent.name, []).append(path)
    known: Known = {}
    if processes == 1:
        for found in folders.values():
            _hold(known, _gather(found, evidence, Path(folder)))
        return
    # Forked, so that Snakemake's script is not run again.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("fork")) as pool, _told_of_memory():
        senders = [evidence] * len(folders), [Path(folder)] * len(folders)
        for layers in pool.map(_gather, folders.values(), *senders):
            _hold(known, layers)


@contextmanager
def _told_of_memory() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise ModelstitchError("a process that reads records was killed: give the job more memory (mem_mb)") from error


def _gather(paths: Sequence[Path], evidence: Evidence, folder: Path) -> Known:
    """Write the files of the senders of some records; what these say of networks' layers."""
    known: Known = {}
    found: dict[str, list[tuple[tuple, list[dict], np.ndarray]]] = {}
    for path in paths:
        record, right = outcomes.read(path, evidence)
        for role in ("sender", "receiver"):
            _hold(known, {record.attributes[role]: (getattr(record, role), f"{path}: {role}")})
        receiver = NetworkId.parse(record.attributes["receiver"])
        place = record.attributes["objective"], RECIPES.index(receiver.recipe), receiver.architecture, receiver.seed
        pair = place, list(rows_of(record)), outcomes.pack(right)
        found.setdefault(record.attributes["sender"], []).append(pair)
    for sender, pairs in found.items():
        pairs.sort(key=lambda pair: pair[0])
        rows = [row for _, cells, _ in pairs for row in cells]
        table = pd.DataFrame(rows, columns=list(GATHERED)).astype(GATHERED)
        _write(folder / f"{sender}.parquet", table, np.concatenate([bits for *_, bits in pairs]))
    return known


def _hold(known: Known, found: Known) -> None:
    """Hold what is found of networks' layers against what is known, and know it from then on."""
    for network, (layers, place) in found.items():
        other, source = known.setdefault(network, (layers, place))
        if field := layers.difference(other):
            raise ModelstitchError(
                f"{place}/{field}: not those of {network} in {source}: run the study again with --forcerun and both"
            )


def _write(path: Path, table: pd.DataFrame, right: np.ndarray) -> None:
    kind = pa.binary(right.shape[1] * right.itemsize)
    column = pa.FixedSizeBinaryArray.from_buffers(kind, len(right), [None, pa.py_buffer(np.ascontiguousarray(right))])
    with replacing(path) as temporary:
        whole = pa.Table.from_pandas(table, preserve_index=False).append_column(RIGHT, column)
        pq.write_table(whole, temporary, write_page_checksum=True)


def files(folder: Path | str) -> list[Path]:
    """The file of each sender, by recipe, architecture and seed.

    Raises:
        ModelstitchError: if there is none.
    """
    found = list(Path(folder).glob("*.parquet"))
    if not found:
        raise ModelstitchError(f"{folder}: no outcomes of a study: delete the folder and run the study again")
    return sorted(found, key=lambda path: _place(NetworkId.parse(path.stem)))


def _place(network: NetworkId) -> tuple[int, str, int]:
    return RECIPES.index(network.recipe), network.architecture, network.seed


def read(path: Path, columns: Sequence[str] = tuple(GATHERED)) -> pd.DataFrame:
    """Columns of a sender's cells.

    Raises:
        ModelstitchError: if the file is damaged, or `sender` is among the columns and not that of its name.
    """
    with _reading(path):
        table = _read(path, columns).to_pandas()
    if "sender" in columns:
        hold(path, table, "sender", path.stem)
    return table


def read_right(path: Path) -> np.ndarray:
    """What a sender's cells get right, as `outcomes.pack` gives it.

    Raises:
        ModelstitchError: if the file is damaged, naming it.
    """
    with _reading(path):
        column = _read(path, [RIGHT]).column(RIGHT).combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = column.chunk(0)
        return np.frombuffer(column.buffers()[1], np.uint64).reshape(len(column), -1)


def _read(path: Path, columns: Sequence[str]) -> pa.Table:
    table = pq.ParquetFile(path, page_checksum_verification=True).read(list(columns))
    if missing := [name for name in columns if name not in table.column_names]:
        raise ValueError(f"no column {missing[0]!r}")
    return table


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
        raise ModelstitchError(f"{path}: not a whole table ({error}): delete it and run the study again") from error


def chunks(
    folder: Path | str, columns: Sequence[str], by_sender: bool = False, with_right: bool = False
) -> Iterator[Chunk]:
    """The cells of a study: all at once, or sender by sender.

    Beside a sender's cells are those of the untrained network of its architecture and seed, and of every network that
    is stitched to itself.

    Args:
        folder: as `gather` writes it.
        columns: of `GATHERED`; `sender` and `receiver` among them.
        by_sender: whether each sender's cells come alone.
        with_right: whether outcomes are read too.

    Raises:
        ModelstitchError: if a file is missing or damaged.
    """
    paths = files(folder)

    def load(some: Sequence[Path]) -> tuple[pd.DataFrame, np.ndarray | None]:
        table = pd.concat([read(path, columns) for path in some], ignore_index=True)
        return table, np.concatenate([read_right(path) for path in some]) if with_right else None

    if not by_sender:
        table, right = load(paths)
        yield Chunk("", table, np.ones(len(table), bool), right)
        return
    selves = [_chosen(*load([path]), lambda table: table.sender == table.receiver) for path in paths]
    same, same_right = _joined(selves)
    for path in paths:
        random = path.with_name(f"{NetworkId.parse(path.stem)._replace(recipe='random')}.parquet")
        beside = [path] + ([random] if random in paths and random != path else [])
        names = [one.stem for one in beside]
        others = _chosen(same, same_right, lambda table, names=names: ~table.sender.isin(names))
        table, right = _joined([load(beside), others])
        yield Chunk(path.stem, table, (table.sender == path.stem).to_numpy(), right)


def _chosen(table: pd.DataFrame, right: np.ndarray | None, condition) -> tuple[pd.DataFrame, np.ndarray | None]:
    rows = condition(table).to_numpy()
    return table[rows], None if right is None else right[rows]


def _joined(parts: Sequence[tuple[pd.DataFrame, np.ndarray | None]]) -> tuple[pd.DataFrame, np.ndarray | None]:
    tables, rights = zip(*parts, strict=True)
    right = None if rights[0] is None else np.concatenate(rights)
    return pd.concat(tables, ignore_index=True), right


def cells(folder: Path | str, by_sender: bool = False) -> Iterator[tuple[str, pd.DataFrame]]:
    """The cells table as one, or one for each sender with its name: `cells.COLUMNS`, sorted by pair and layers.

    `relative_accuracy` is the accuracy over the receiver's own; `agreement` how often the receiver predicts the same;
    `train_accuracy` and `train_loss` are the last epoch's. A failed cell has NaN there and a `reason`. A layer's
    `depth` is its position among the network's layers, 0 for the first and 1 for the last, NaN for the image; its
    `operations_depth` the share of the network's operations up to it. The `EXCESSES` are those of `controls.excesses`,
    the last columns those of `controls.over_remapped`.

    Args:
        folder: as `gather` writes it.
        by_sender: whether each sender's cells come alone.
    """
    for chunk in chunks(folder, list(RECORDED), by_sender):
        table = in_order(chunk.table[chunk.own], ORDER)
        yield chunk.sender, table.assign(**excesses(table, chunk.table), **over_remapped(table))[list(COLUMNS)]


def with_first_losses(parts: Iterable[pd.DataFrame], folder: Path | str) -> Iterator[pd.DataFrame]:
    """Parts of the cells table, each with `first_train_loss` from the files that `gather` wrote."""
    keys = ["objective", "sender", "receiver", "sender_layer", "receiver_layer"]
    for part in parts:
        paths = [Path(folder) / f"{sender}.parquet" for sender in part.sender.unique()]
        losses = pd.concat([read(path, [*keys, FIRST_LOSS]) for path in paths], ignore_index=True)
        yield part.merge(losses, on=keys, how="left", validate="one_to_one")
