"""What made each result, kept beside the results: a folder that was copied without `.snakemake` says what is stale."""

import gzip
import json
import uuid

from snakemake.persistence import MetadataRecord
from snakemake.persistence.file import FilePersistence

from modelstitch.files import replacing

PROVENANCE = RESULTS / "provenance.jsonl.gz"
KNOWN = Path(".snakemake/provenance") / STUDY.study
# Commands that make results known, or leave them alone.
SPARED = {"--touch", "-t", "--unlock", "--lint", "-l", "--version"}


def kept_provenance():
    """Its id, and Snakemake's own records of what made each result, by the file within the study's folder."""
    if not PROVENANCE.exists():
        return None, {}
    try:
        with gzip.open(PROVENANCE, "rt", encoding="utf-8") as lines:
            identity = json.loads(next(lines))["id"]
            return identity, {line["file"]: line["record"] for line in map(json.loads, lines)}
    except (OSError, EOFError, ValueError, KeyError, TypeError, StopIteration) as error:
        sys.exit(f"{PROVENANCE}: is damaged ({error}): copy it again, or remove it with all results of the study")


def result_files():
    """Files of the study that a rule may have made, by their names within its folder."""
    for folder, folders, names in os.walk(RESULTS):
        if Path(folder) == RESULTS:
            folders[:] = sorted({*folders} - {"logs", "benchmarks"})
        for name in names:
            file = Path(folder, name)
            if not name.startswith(".") and file != PROVENANCE:
                yield str(file.relative_to(RESULTS)), file


def keep_provenance():
    """Write down what made each result that is there, under a new id, which this checkout knows from now on."""
    store, (_, kept) = FilePersistence(), kept_provenance()
    since = PROVENANCE.stat().st_mtime if kept else 0
    records = {}
    for name, file in result_files():
        record = kept.get(name)
        if record is None or file.stat().st_mtime >= since:
            found = store._read_record(str(file))
            record = dict(found.items()) if found else None
        if record is not None:
            records[name] = record
    identity = uuid.uuid4().hex
    with replacing(PROVENANCE) as temporary, gzip.open(temporary, "wt", compresslevel=1, encoding="utf-8") as lines:
        lines.write(json.dumps({"id": identity}) + "\n")
        for name, record in sorted(records.items()):
            lines.write(json.dumps({"file": name, "record": record}) + "\n")
    with replacing(KNOWN) as temporary:
        temporary.write_text(identity)


def restore_provenance():
    """Tell Snakemake what made results that came from elsewhere, and refuse those of which nothing tells it."""
    identity, kept = kept_provenance()
    if identity and KNOWN.exists() and KNOWN.read_text() == identity:
        return
    store = FilePersistence()
    files = dict(result_files())
    for name in kept.keys() & files.keys():
        store._write_record(str(files[name]), MetadataRecord.model_validate(kept[name]))
    made = [str(file) for file in files.values() if file.suffix in (".h5", ".safetensors", ".csv", ".parquet")]
    unknown = {file for file in made if store._read_record(file) is None}
    unknown -= store._filter_incomplete_keys(unknown)
    if unknown:
        sys.exit(
            f"{RESULTS}: nothing tells what made {len(unknown)} of its files ({min(unknown)}): copy {PROVENANCE.name} "
            "with them, or .snakemake/metadata; or remove them; or, if they are current, snakemake --cores 1 --touch"
        )
    if identity:
        with replacing(KNOWN) as temporary:
            temporary.write_text(identity)


if workflow.is_main_process and not SPARED & {*sys.argv}:
    restore_provenance()


onsuccess:
    keep_provenance()


onerror:
    keep_provenance()
