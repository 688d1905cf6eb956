"""What made each result, kept beside the results: a folder that was copied without `.snakemake` says what is stale."""

import gzip
import json
import uuid
from base64 import urlsafe_b64decode

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


def records_of(store, since):
    """Snakemake's records that are not older than a time, by the file within the study's folder; temporary ones too."""
    folder = Path(store.path, "metadata")
    for place, _, names in os.walk(folder):
        for name in names:
            file = Path(place, name)
            key = "".join(part.removeprefix("@") for part in file.relative_to(folder).parts)
            made = Path(urlsafe_b64decode(key).decode())
            if made.is_relative_to(RESULTS) and file.stat().st_mtime >= since:
                yield str(made.relative_to(RESULTS)), json.loads(file.read_text())


def keep_provenance():
    """Write down what made each result, under a new id, which this checkout knows from now on."""
    _, kept = kept_provenance()
    kept |= records_of(FilePersistence(), PROVENANCE.stat().st_mtime if kept else 0)
    identity = uuid.uuid4().hex
    with replacing(PROVENANCE) as temporary, gzip.open(temporary, "wt", compresslevel=1, encoding="utf-8") as lines:
        lines.write(json.dumps({"id": identity}) + "\n")
        for name, record in sorted(kept.items()):
            lines.write(json.dumps({"file": name, "record": record}) + "\n")
    with replacing(KNOWN) as temporary:
        temporary.write_text(identity)


def restore_provenance():
    """Tell Snakemake what made results that came from elsewhere, and refuse those of which nothing tells it."""
    identity, kept = kept_provenance()
    if identity and KNOWN.exists() and KNOWN.read_text() == identity:
        return
    store = FilePersistence()
    for name, record in kept.items():
        store._write_record(str(RESULTS / name), MetadataRecord.model_validate(record))
    made = [str(file) for kind in ("h5", "safetensors") for file in RESULTS.rglob(f"*.{kind}") if file.name[0] != "."]
    unknown = {file for file in made if store._read_record(file) is None}
    unknown -= store._filter_incomplete_keys(unknown)
    if unknown:
        sys.exit(
            f"{RESULTS}: nothing tells what made {len(unknown)} of its files ({min(unknown)}): copy {PROVENANCE.name} "
            "with them, or .snakemake/metadata; or remove them; or, if they are current, snakemake --cores 1 --touch "
            "--forceall"
        )
    if identity:
        with replacing(KNOWN) as temporary:
            temporary.write_text(identity)


if workflow.is_main_process and not SPARED & {*sys.argv}:
    restore_provenance()
