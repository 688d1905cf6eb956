"""An archive's description as an RO-Crate, which Zenodo, WorkflowHub and other programs read."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from modelstitch.sharing import account, snapshot
from modelstitch.sharing.account import Account

METADATA, CHECKSUMS = "ro-crate-metadata.json", "manifest-sha256.txt"
PAPER = "https://arxiv.org/abs/2303.11277"
FILES = {
    snapshot.CONFIG: "the study's config, as it was run",
    snapshot.LOCK: "the releases of all packages",
    snapshot.CITATION: "how to cite modelstitch",
    account.NAME: "what made each result: rule, inputs, params, commit, releases, machine, time",
    CHECKSUMS: "SHA-256 of every file, as sha256sum writes it",
    "tables/cells.csv": "one row per stitch",
    "tables/cells.parquet": "one row per stitch",
    "tables/networks.csv": "one row per network",
    "report/index.html": "the whole study in one page",
}
FOLDERS = {
    "data": "the data set",
    "networks": "the networks: safetensors, and what is known of them as JSON",
    "stitches": "the record of each ordered pair: HDF5",
    "measures": "what was measured beside accuracy",
    "outcomes": "what tables are made of",
    "tables": "the tables",
    "matrices": "the accuracies of each pair, layers by layers",
    "figures": "the figures, and their captions",
    "report": "the explorer",
    "logs": "what each job said",
    "benchmarks": "time and memory of each job",
    snapshot.FOLDER: "what the study was run with",
}


def describe(study: str, names: Iterable[str], told: Account) -> str:
    """The RO-Crate metadata of a study's archive, as JSON; equal studies give equal text.

    Args:
        study: name of the study.
        names: names of the files in the archive.
        told: the account, which says what made them.
    """
    from rocrate.model import ContextEntity, SoftwareApplication  # half a second, for who archives alone
    from rocrate.rocrate import ROCrate

    names, times = set(names), told.times() or (0.0, 0.0)
    crate = ROCrate()
    root = crate.root_dataset
    crate.name = study
    crate.description = "A study of modelstitch: which layers of networks can be stitched to which"
    crate.datePublished = _date(times[1])
    for name in sorted(FILES.keys() & names):
        crate.add_file(dest_path=name, properties={"name": name, "description": FILES[name]})
    for name in sorted({name.partition("/")[0] for name in names if "/" in name}):
        crate.add_dataset(dest_path=f"{name}/", properties={"name": name, "description": FOLDERS.get(name, name)})
    paper = {"@type": "ScholarlyArticle", "name": "the paper whose method it is"}
    root["citation"] = crate.add(ContextEntity(crate, PAPER, properties=paper))
    for number, maker in enumerate(told.makers(), start=1):
        software = {
            "name": "modelstitch",
            "version": _version(maker),
            "softwareRequirements": _pairs(maker["versions"]),
        }
        crate.add_action(
            crate.add(SoftwareApplication(crate, f"#modelstitch-{number}", software)),
            identifier=f"#run-{number}",
            object=[crate.get(name) for name in (snapshot.CONFIG, snapshot.LOCK) if name in names],
            result=[root],
            properties={
                "name": f"run of {study}",
                "description": _pairs(maker["machine"]),
                "startTime": _date(times[0]),
                "endTime": _date(times[1]),
            },
        )
    return json.dumps(crate.metadata.generate(), indent=2) + "\n"


def _version(maker: Mapping[str, Any]) -> str:
    release, commit = maker["versions"].get("modelstitch", ""), maker["commit"]
    return f"{release}, commit {commit}" if commit else release


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items() if value)


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
