"""The page of a study as a file: template, style and scripts, the plotting library, and the study's data.

The data is in *chunks*, each of them gzip in base64: the library, the study, and the details of each pair. The page
holds as many of them as `LIMIT` allows, in this order. The others are scripts beside it, since browsers do not let a
page from the disk read other files.
"""

import base64
import gzip
import json
import shutil
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs, get_plotlyjs_version

from modelstitch.analysis import tables
from modelstitch.analysis.evidence import Evidence
from modelstitch.analysis.matrices import PAIR
from modelstitch.explorer import details
from modelstitch.explorer.study import gather
from modelstitch.files import replacing

LIMIT = 15_000_000  # bytes of the page
# What the page says of an objective, from the record of one of its pairs: how its stitches were trained.
ABOUT = ("dataset", "settings", "precision", "seed", "train_images", "versions")
BESIDE = "data"  # the folder of the chunks that aren't in it
SCRIPTS = (
    "chunks",
    "study",
    "state",
    "elements",
    "figures",
    "summary",
    "overview",
    "pair",
    "compare",
    "scatter",
    "tables",
    "main",
)


def write(
    path: Path | str,
    study: str,
    table_files: Sequence[Path | str],
    record_files: Sequence[Path | str],
    dataset: Path | str,
    colormap: str,
    seed: int | None = None,
    limit: int = LIMIT,
) -> None:
    """Write the page of a study; chunks beyond `limit` bytes go into the folder `data` beside it.

    Args:
        path: file of the page.
        study: name of the study.
        table_files: the tables that it shows; `cells` and `networks` are required.
        record_files: the records of its pairs.
        dataset: the data set's file.
        colormap: matplotlib's name of the study's colour map.
        seed: seed of the study, which its records must have too; None if it is not known.
        limit: most bytes of the page.

    Raises:
        ModelstitchError: if a file is missing or damaged, a record is another study's, or the page can't be written.
    """
    found = {Path(file).stem: tables.read(file) for file in table_files}
    evidence = Evidence.of(dataset, study, seed)
    objectives: dict[str, Any] = {}
    cells: dict[tuple[str, ...], str] = {}
    for file in record_files:
        record = evidence.read(file)
        objective, *networks = (record.attributes[name] for name in PAIR)
        objectives.setdefault(objective, {name: record.attributes[name] for name in ABOUT if name in record.attributes})
        cells[objective, *networks] = packed(details.of_record(record, evidence.labels, len(evidence.classes)))
    assemble(path, gather(study, found, objectives, evidence.classes, colormap), cells, limit)


def assemble(
    path: Path | str, whole: Mapping[str, Any], cells: Mapping[tuple[str, ...], str], limit: int = LIMIT
) -> None:
    """Write the page from what `gather` returns and the packed details of each (objective, sender, receiver).

    Raises:
        ModelstitchError: if a file can't be written.
    """
    pairs = [tuple(pair[name] for name in PAIR) for pair in whole["pairs"]]
    chunks = {"plotly": packed(get_plotlyjs()), "study": packed({**whole, "plotly": get_plotlyjs_version()})}
    chunks |= {f"pair-{place}": cells[pair] for place, pair in enumerate(pairs) if pair in cells}
    path = Path(path)
    beside = path.parent / BESIDE
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    page = _page(whole["study"])
    room = limit - len(page.encode())
    within: list[str] = []
    for name, chunk in chunks.items():
        element = f'<script type="text/plain" id="chunk-{name}">{chunk}</script>\n'
        room -= len(element)
        if room >= 0:
            within.append(element)
        else:
            with replacing(beside / f"{name}.js") as temporary:
                temporary.write_text(f'modelstitch.receive("{name}", "{chunk}");\n')
    with replacing(path) as temporary:
        temporary.write_text(page.replace("<!-- chunks -->", "".join(within)), encoding="utf-8")


def packed(value: Any) -> str:
    """A chunk of a text, or of anything else as JSON."""
    options = {"separators": (",", ":"), "allow_nan": False, "ensure_ascii": False}
    text = value if isinstance(value, str) else json.dumps(value, **options)
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _page(study: str) -> str:
    """The page without data."""
    parts = {
        "<!-- title -->": escape(study),
        "/* style */": _text("style.css"),
        "/* scripts */": "\n".join(_text(f"{name}.js") for name in SCRIPTS),
    }
    page = _text("index.html")
    for mark, text in parts.items():
        page = page.replace(mark, text)
    return page


def _text(name: str) -> str:
    return (files("modelstitch.explorer") / "page" / name).read_text(encoding="utf-8")
