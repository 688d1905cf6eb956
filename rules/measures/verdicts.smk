"""Which measure distinguishes each control from trained networks."""

JUDGED = STUDY.measures.verdicts
VERDICTS = f"{RESULTS}/tables/verdicts.csv"
VERDICTS_FIGURE = in_report(
    f"{RESULTS}/figures/verdicts", "../../report/verdicts_figure.rst", "Controls", figure="verdicts"
)
# Tables with a row per cell, of the measures that the study has; their rules come before in the alphabet.
CELL_TABLES = {
    name: f"{RESULTS}/tables/{name}.csv"
    for name in ("hacking", "distances", "statistical_similarity", "clustered_noise")
    if f"{RESULTS}/tables/{name}.csv" in map(str, MEASURED)
}


if JUDGED:
    MEASURED += [VERDICTS, *map(str, VERDICTS_FIGURE)]

    rule judge_measures:
        input:
            **CELL_TABLES,
            cells=TABLES["cells_parquet"],
        output:
            report(
                VERDICTS,
                caption="../../report/verdicts.rst",
                category="Tables",
                labels={"table": "verdicts"},
            ),
        log:
            RESULTS / "logs/judge_measures.log",
        benchmark:
            RESULTS / "benchmarks/judge_measures.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        resources:
            mem_mb=tables_mb,
            runtime=tables_minutes,
        params:
            reference=JUDGED.reference,
            alike=JUDGED.alike or (),
            seed=STUDY.seed,
            code=code_of("judge_measures.py"),
        script:
            "../../workflow_scripts/judge_measures.py"

    rule draw_verdicts:
        input:
            verdicts=VERDICTS,
        output:
            VERDICTS_FIGURE,
        log:
            RESULTS / "logs/draw_verdicts.log",
        benchmark:
            RESULTS / "benchmarks/draw_verdicts.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        resources:
            mem_mb=tables_mb,
            runtime=tables_minutes,
        params:
            measure="verdicts",
            paper=PAPER,
            caption=caption_of("verdicts_figure.rst"),
            code=code_of("draw_measure.py", modules=("modelstitch.figures.verdicts",)),
        script:
            "../../workflow_scripts/draw_measure.py"
