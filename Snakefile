"""A stitching study: data set, networks, stitches, measures, tables and matrices, figures."""

from snakemake.utils import min_version

min_version("9.20")


# A study file stands alone: nothing of the default study leaks into it.
if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/networks.smk"
include: "rules/stitches.smk"
include: "rules/measures.smk"
include: "rules/analysis.smk"
include: "rules/figures.smk"
include: "rules/probes.smk"
include: "rules/hacking.smk"
include: "rules/generation.smk"
include: "rules/budget.smk"
include: "rules/forecast.smk"


report: "report/study.rst"


rule all:
    default_target: True
    input:
        RECORDS,
        KEPT_STITCHES,
        TABLES.values(),
        TRIANGLE,
        DISTANCES,
        FAILURES,
        PUBLISHED.values(),
        MATRICES,
        FIGURES,
        PROBES,
        HACKING,
        GENERATION,
        BUDGET,
    localrule: True
