"""Run by the profile beside it, before Snakemake reads a study file.

Tells what is wrong with the study file or with `--config` in one line: of some mistakes Snakemake would tell another.
Then makes the display of runs known to Snakemake, which finds such plugins only where packages are installed.
"""

import argparse
import contextlib
import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

from modelstitch.config.text import check_file
from modelstitch.errors import ModelstitchError

DISPLAY = "snakemake_logger_plugin_study"
# With these Snakemake does something else than run a study, or is asked for its own output.
SNAKEMAKES = (
    "--quiet", "-q", "--verbose", "--printshellcmds", "-p", "--debug-dag", "--logger", "--list", "-l", "--list-rules",
    "--list-target-rules", "--lt", "--lint", "--report", "--report-after-run", "--dag", "--rulegraph", "--filegraph",
    "--d3dag", "--summary", "-S", "--detailed-summary", "-D", "--touch", "-t", "--unlock", "--archive",
    "--delete-all-output", "--delete-temp-output", "--cleanup-metadata", "--list-changes", "--containerize",
    "--conda-create-envs-only", "--conda-cleanup-envs", "--conda-cleanup-pkgs", "--list-conda-envs", "--export-cwl",
)  # fmt: skip


def check(files: list[str], entries: list[str]) -> None:
    """Study files, and `key=value` of the command line.

    Raises:
        ModelstitchError: if one of them can't be read as it is meant.
    """
    for entry in entries:
        key, _, value = entry.partition("=")
        if "=" not in entry:
            raise ModelstitchError(f"--config {entry}: expected key=value: --config seed=1")
        if "." in key:
            *sections, last = key.split(".")
            nested = f"{{{last}: {value}}}"
            for section in sections[:0:-1]:
                nested = f"{{{section}: {nested}}}"
            raise ModelstitchError(f"--config {entry}: expected the nested form: --config '{sections[0]}={nested}'")
    for file in files:
        check_file(file)


parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
parser.add_argument("--configfile", "--configfiles", nargs="+", default=["config/config.yaml"])
parser.add_argument("--config", "-C", nargs="*", default=[])
with contextlib.suppress(argparse.ArgumentError):  # which Snakemake tells
    given, _ = parser.parse_known_args()
    try:
        check(given.configfile, given.config)
    except ModelstitchError as error:
        sys.exit(str(error))

shown = not any(word.split("=")[0] in SNAKEMAKES for word in sys.argv[1:])
if shown:
    sys.path.append(str(Path(sys.path[0]) / "workflow_scripts"))
    LoggerPluginRegistry().register_plugin(DISPLAY, importlib.import_module(DISPLAY))
