"""The study that the config describes, its paths, and what every stage shares."""

import hashlib
import os
import sys
from pathlib import Path

from modelstitch.code import fingerprint
from modelstitch.config import load_study
from modelstitch.costs import Costs
from modelstitch.errors import ModelstitchError
from modelstitch.identifiers import NetworkId


def read_study():
    """The study, or its mistakes on standard error and exit code 1: a traceback would help nobody to mend them."""
    files = workflow.overwrite_configfiles or workflow.configfiles
    source = ", ".join(os.path.relpath(file) for file in files)
    try:
        return load_study(config, source)
    except ModelstitchError as error:
        print(error, file=sys.stderr)
        sys.exit(1)


STUDY = read_study()
RESULTS = Path("results") / STUDY.study
DATASET = RESULTS / "data/dataset.h5"
NETWORKS = RESULTS / "networks"

SCRIPTS = Path(workflow.basedir) / "workflow_scripts"
# How work is run never re-runs it, so it is given as resources, not as params.
DEVICE = STUDY.jobs.device
GPUS = 1 if DEVICE == "cuda" else 0
COSTS = Costs(STUDY)


wildcard_constraints:
    network=r"R[12]{4}_[a-z]+_s\d+",
    sender=r"R[12]{4}_[a-z]+_s\d+",
    receiver=r"R[12]{4}_[a-z]+_s\d+",
    objective=r"[a-z]+",


onstart:
    try:
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / ".writable").write_bytes(bytes(65536))
        (RESULTS / ".writable").unlink()
    except OSError as error:
        raise WorkflowError(f"{RESULTS}: can't be written ({error.strerror}): free space, or give write permission")


def code_of(*scripts):
    """What the result owes to the code: a comment changes nothing, a changed stitch re-runs stitches."""
    return fingerprint(*(SCRIPTS / script for script in scripts))


def digest_of(items):
    """A short param that changes with a list: which pairs a table holds, say."""
    return hashlib.sha256("\n".join(map(str, items)).encode()).hexdigest()[:16]
