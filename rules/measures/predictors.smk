"""What predicts the accuracy of a cell: one regression over all cells of the study."""

PREDICTING = STUDY.measures.predictors
PREDICTORS_TABLE = f"{RESULTS}/tables/predictors.csv"
PREDICTORS_FIGURE = in_report(
    f"{RESULTS}/figures/predictors", "../../report/predictors_figure.rst", "Predictors", figure="predictors"
)
# Where the study has them; the tables are those of other rules.
PREDICTING_TABLES = {}
if STUDY.measures.probes:
    PREDICTING_TABLES["probes"] = f"{RESULTS}/tables/probes.csv"
if HAS_DISTANCES:
    PREDICTING_TABLES["distances"] = f"{RESULTS}/tables/distances.csv"


if PREDICTING:
    MEASURED += [PREDICTORS_TABLE, *map(str, PREDICTORS_FIGURE)]

    task_records = of_study(
        lambda: [str(RECORD).format(objective="task", **pair._asdict()) for name, pair in stitched() if name == "task"]
    )

    rule measure_predictors:
        input:
            **PREDICTING_TABLES,
            cells=TABLES["cells_parquet"],
            dataset=IMAGES,
            records=task_records,
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
            mem_mb=tables_mb,
            runtime=tables_minutes,
        params:
            folds=PREDICTING.folds,
            tables=list(PREDICTING_TABLES),
            records=digest_each(task_records),
            study=STUDY.study,
            seed=STUDY.seed,
            settings={"task": settings_of_objective("task")},
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
            mem_mb=tables_mb,
            runtime=tables_minutes,
        params:
            measure="predictors",
            paper=PAPER,
            caption=caption_of("predictors_figure.rst"),
            code=code_of("draw_measure.py", modules=("modelstitch.figures.predictors",)),
        script:
            "../../workflow_scripts/draw_measure.py"
