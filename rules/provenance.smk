"""What made each result, kept beside the results: a folder that was copied without `.snakemake` says what is stale."""

import json
import uuid
from base64 import urlsafe_b64decode

from snakemake.persistence import MetadataRecord

from modelstitch.errors import first_line
from modelstitch.files import replacing
from modelstitch.sharing import account, snapshot
from modelstitch.sharing.maker import maker_of

PROVENANCE = RESULTS / account.NAME
KNOWN = Path(".snakemake/provenance") / STUDY.study
# Commands that make results known, or leave them alone.
SPARED = {"--touch", "-t", "--unlock", "--lint", "-l", "--version"}


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
    """Write down what made each result, under a new id, which this checkout knows from now on; and the settings."""
    try:
        kept = account.read(PROVENANCE)
    except ModelstitchError:
        kept = account.Account()  # this checkout knows all that it told
    for name, record in records_of(FilePersistence(), PROVENANCE.stat().st_mtime if kept.lines else 0):
        kept.lines[name] = {"record": record, "by": next(filter(None, map(maker_of, record["log"])), None)}
    if not kept.lines:  # a forecast makes nothing
        return
    kept.identity = uuid.uuid4().hex
    account.write(PROVENANCE, kept)
    snapshot.keep(RESULTS, STUDY_FILES, json.loads(json.dumps(config)), own_files())
    with replacing(KNOWN) as temporary:
        temporary.write_text(kept.identity)


def restore_provenance():
    """Tell Snakemake what made results that came from elsewhere, and refuse those of which nothing tells it."""
    try:
        identity = account.read(PROVENANCE, identity_alone=True).identity
        if identity and KNOWN.exists() and KNOWN.read_text() == identity:
            return
        kept = account.read(PROVENANCE)
    except ModelstitchError as error:
        sys.exit(str(error))
    store = FilePersistence()
    for name, line in kept.lines.items():
        try:
            record = MetadataRecord.model_validate(line["record"])
        except ValueError as error:
            sys.exit(f"{PROVENANCE}: {name}: not what Snakemake writes ({first_line(error)}): copy it again")
        store._write_record(str(RESULTS / name), record)
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
