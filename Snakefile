"""A stitching study: data set, networks, stitches, measures, tables and matrices, figures."""

from pathlib import Path

from snakemake.utils import min_version

min_version("9.20")


CHECKOUT = Path(str(workflow.current_basedir))  # also where another workflow uses this one as a module

# A study file stands alone: nothing of the default study leaks into it.
if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


include: "rules/common.smk"
include: "rules/provenance.smk"
include: "rules/resources.smk"
include: "rules/data.smk"
include: "rules/networks.smk"
include: "rules/stitches.smk"
include: "rules/analysis.smk"
include: "rules/figures.smk"


# A measure is a file: each adds what it makes to MEASURED.
for measure in sorted(CHECKOUT.glob("rules/measures/*.smk")):

    include: str(measure)


include: "rules/explorer.smk"
include: "rules/forecast.smk"
include: "rules/progress.smk"


report: "report/study.rst"


rule all:
    default_target: True
    input:
        all_records,
        kept_stitches,
        [str(file) for file in CELLS],
        TABLES.values(),
        TRIANGLE,
        UNCERTAINTY,
        COMPARISONS.values(),
        SELF_CONSISTENCY,
        FAILURES,
        PUBLISHED.values(),
        MATRICES,
        FIGURES,
        measured,
        EXPLORER if not LARGE else [],
    localrule: True


# The only ones: Snakemake heeds the last of each.
onsuccess:
    keep_provenance()
    if EXPLORER.is_file():
        print(f"Open in a browser: {EXPLORER}", file=sys.stderr)


onerror:
    keep_provenance()
