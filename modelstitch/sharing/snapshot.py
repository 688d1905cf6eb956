"""A copy, in a study's folder, of what it was run with: config, lock file, citation, Python files of own networks."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from modelstitch.files import replacing

FOLDER = "study"
CONFIG, LOCK, CITATION = f"{FOLDER}/config.yaml", f"{FOLDER}/requirements.lock", f"{FOLDER}/CITATION.cff"


def keep(study: Path, files: Sequence[Path | str], values: Mapping[str, Any], code: Iterable[str]) -> None:
    """Copy into a study's folder what it was run with; the working directory is the checkout.

    Args:
        study: the folder, `results/<study>`.
        files: the study files; the text of a single file that says everything is copied unchanged.
        values: the values of the study, including those of the command line.
        code: Python files of own networks; one outside the checkout is kept under its bare name.

    Raises:
        ModelstitchError: if a file can't be written.
    """
    text = Path(files[0]).read_text(encoding="utf-8") if len(files) == 1 else ""
    if not text or yaml.safe_load(text) != values:
        text = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)
    with replacing(study / CONFIG) as temporary:
        temporary.write_text(text, encoding="utf-8")
    for file in map(Path, (Path(LOCK).name, Path(CITATION).name, *code)):
        inside = not file.is_absolute() and ".." not in file.parts
        if file.is_file():
            with replacing(study / FOLDER / (file if inside else file.name)) as temporary:
                shutil.copyfile(file, temporary)
