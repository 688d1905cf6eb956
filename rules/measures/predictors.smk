"""What predicts the accuracy of a cell: one regression over all cells of the study."""

PREDICTING = STUDY.measures.predictors
PREDICTORS_TABLE = f"{RESULTS}/tables/predictors.csv"
PREDICTORS_FIGURE = in_report(
    f"{RESULTS}/figures/predictors", "../../report/predictors_figure.rst", "Predictors", figure="predictors"
)
TASK_RECORDS = [str(RECORD).format(objective="task", **pair._asdict()) for name, pair in STITCHED if name == "task"]
# Where the study has them; the tables are those of other rules.
PREDICTING_TABLES = {}
if STUDY.measures.probes:
    PREDICTING_TABLES["probes"] = f"{RESULTS}/tables/probes.csv"
if PAIR_DISTANCES:
    PREDICTING_TABLES["distances"] = f"{RESULTS}/tables/distances.csv"


if PREDICTING:
    MEASURED += [PREDICTORS_TABLE, *map(str, PREDICTORS_FIGURE)]

    rule measure_predictors:
        input:
            **PREDICTING_TABLES,
            cells=TABLES["cells_parquet"],
            dataset=IMAGES,
            records=TASK_RECORDS,
        output:
            table=report(
                PREDICTORS_TABLE,
                caption="../../report/predictors.rst",
                category="Tables",
                labels={"table": "predictors"},
            ),
        log:
            RESULTS / "logs/measure_predictors.log",
        benchmark:
            RESULTS / "benchmarks/measure_predictors.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        resources:
            mem_mb=TABLES_MB,
            runtime=TABLES_MINUTES,
        params:
            folds=PREDICTING.folds,
            tables=list(PREDICTING_TABLES),
            records=digest_of(TASK_RECORDS),
            study=STUDY.study,
            seed=STUDY.seed,
            code=code_of("measure_predictors.py"),
        script:
            "../../workflow_scripts/measure_predictors.py"

    rule draw_predictors:
        input:
            table=PREDICTORS_TABLE,
        output:
            PREDICTORS_FIGURE,
        log:
            RESULTS / "logs/draw_predictors.log",
        benchmark:
            RESULTS / "benchmarks/draw_predictors.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        resources:
            mem_mb=TABLES_MB,
            runtime=TABLES_MINUTES,
        params:
            measure="predictors",
            paper=PAPER,
            caption=caption_of("predictors_figure.rst"),
            code=code_of("draw_measure.py", modules=("modelstitch.figures.predictors",)),
        script:
            "../../workflow_scripts/draw_measure.py"
