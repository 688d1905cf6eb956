"""Reads the records once for all tables, into one file per sender with its cells and the test images they get right.

Tables are made from these files. For a small study they are made at once. For a large one they are made sender by
sender, together with the cells that the sender's are compared with, so that memory is needed for one sender only.
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
Known = dict[str, tuple[Layers, str]]  # each network's layers, and the place in a record that they were read from


@dataclass(frozen=True)
class Chunk:
    """Some cells of a study, and others that they are compared with.

    Attributes:
        sender: the sender of the cells; "" for the cells of a whole study.
        table: the cells and the others, C rows.
        own: which rows are the cells themselves, bool (C,).
        right: outcomes of all rows, as `outcomes.pack` returns them; None if they were not asked for.
    """

    sender: str
    table: pd.DataFrame
    own: np.ndarray
    right: np.ndarray | None


def gather(paths: Sequence[Path | str], evidence: Evidence, folder: Path | str, processes: int = 1) -> None:
    """Write `<folder>/<sender>.parquet` for each sender: the columns `GATHERED`, and `right`, its outcomes as bits.

    Rows are sorted by objective and receiver; the cells of a pair are in the order of the record, column by column.

    Args:
        paths: the records of the pairs; the folder of a record has the name of its sender.
        evidence: what the records are checked against.
        folder: the folder to write to, which is made if it is missing.
        processes: number of processes that read at the same time.

    Raises:
        ModelstitchError: as `Evidence.read`, if two records disagree about a network's layers, or if a file can't be
            written.
    """
    folders: dict[str, list[Path]] = {}
    for path in map(Path, paths):
        folders.setdefault(path.parent.name, []).append(path)
    known: Known = {}
    if processes == 1:
        for found in folders.values():
            _hold(known, _gather(found, evidence, Path(folder)))
        return
    # Forked, since a spawned process would run Snakemake's script again.
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
    """Write the files of the senders of some records, and return the networks' layers that the records hold."""
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
    """Check the layers of found networks against those that are known, and add networks that are new to `known`."""
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
    """The files of all senders, sorted by recipe, architecture and seed.

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
    """Read columns of a sender's cells.

    Raises:
        ModelstitchError: if the file is damaged, or its column `sender`, if it is read, is not the file's name.
    """
    with _reading(path):
        table = _read(path, columns).to_pandas()
    if "sender" in columns:
        hold(path, table, "sender", path.stem)
    return table


def read_right(path: Path) -> np.ndarray:
    """Read the outcomes of a sender's cells, as `outcomes.pack` returns them.

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
    """Yield the cells of a study: all at once, or sender by sender.

    A sender's cells come with those that they are compared with: the cells of the untrained sender of the same
    architecture and seed, and the cells of every network that is stitched to itself.

    Args:
        folder: the folder that `gather` wrote.
        columns: columns of `GATHERED`, with `sender` and `receiver` among them.
        by_sender: whether to yield one chunk per sender.
        with_right: whether to read outcomes too.

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
    """Yield the cells table, whole or one per sender with its name: `cells.COLUMNS`, sorted by pair and layers.

    `relative_accuracy` is the accuracy divided by the receiver's own; `agreement` the share of test images for which
    the receiver predicts the same class; `train_accuracy` and `train_loss` are those of the last epoch. A failed cell
    has a `reason`, and NaN in all of them but `train_loss`. A layer's `depth` is its position in the network, from 0
    for the first layer to 1 for the last, and NaN for the image; `operations_depth` is the share of the network's
    operations up to it. The `EXCESSES` are those of `controls.excesses`, the last columns those of
    `controls.over_remapped`.

    Args:
        folder: the folder that `gather` wrote.
        by_sender: whether to yield one table per sender.
    """
    for chunk in chunks(folder, list(RECORDED), by_sender):
        table = in_order(chunk.table[chunk.own], ORDER)
        yield chunk.sender, table.assign(**excesses(table, chunk.table), **over_remapped(table))[list(COLUMNS)]


def with_first_losses(parts: Iterable[pd.DataFrame], folder: Path | str) -> Iterator[pd.DataFrame]:
    """Add the column `first_train_loss`, from the files that `gather` wrote in `folder`, to parts of a cells table."""
    keys = ["objective", "sender", "receiver", "sender_layer", "receiver_layer"]
    for part in parts:
        paths = [Path(folder) / f"{sender}.parquet" for sender in part.sender.unique()]
        losses = pd.concat([read(path, [*keys, FIRST_LOSS]) for path in paths], ignore_index=True)
        yield part.merge(losses, on=keys, how="left", validate="one_to_one")
