"""The matrix as the training of its stitches grows, from two starts."""

from modelstitch.config.stitches import STARTS

GROWING = STUDY.measures.training_budget
BUDGET_RECORD = RESULTS / "training_budget/{objective}/{epochs}/{start}/{sender}/{receiver}.h5"
BUDGET_RECORDS = [
    str(BUDGET_RECORD).format(
        objective=objective,
        epochs=str(epochs).removesuffix(".0"),
        start=start,
        sender=pair.sender,
        receiver=pair.receiver,
    )
    for pair in (GROWING.pairs if GROWING else ())
    for objective in ("task", REMAPPED)
    if is_stitched(objective, pair.sender, pair.receiver)
    for start in STARTS
    for epochs in sorted(GROWING.epochs)
]
BUDGET_CELLS = RESULTS / "tables/training_budget_cells.csv"
BUDGET_SUMMARY = RESULTS / "tables/training_budget.csv"
BUDGET_FIGURE = in_report(
    RESULTS / "figures/training_budget", "../../report/training_budget.rst", "Training budget", figure="budget"
)


if GROWING:
    MEASURED += [str(file) for file in (BUDGET_CELLS, BUDGET_SUMMARY, *BUDGET_FIGURE)]

    rule stitch_training_budget:
        input:
            unpack(made_of(BUDGET_RECORD, "sender", "receiver")),
        output:
            record=BUDGET_RECORD,
            stitches=temp(BUDGET_RECORD.with_suffix(".safetensors")),
        log:
            RESULTS / "logs/stitch_training_budget/{objective}/{epochs}/{start}/{sender}/{receiver}.log",
        benchmark:
            RESULTS / "benchmarks/stitch_training_budget/{objective}/{epochs}/{start}/{sender}/{receiver}.tsv"
        wildcard_constraints:
            epochs=r"[0-9.e+-]+",
            start="|".join(STARTS),
        conda:
            "../../envs/modelstitch.yaml"
        threads: STUDY.jobs.threads
        resources:
            mem_mb=memory_of(cells_of_task),
            runtime=minutes_of_budget,
            gpu=GPUS,
            device=DEVICE,
        params:
            objective="{objective}",
            settings=task_from,
            sender_cuts=cuts_of("sender"),
            receiver_cuts=cuts_of("receiver"),
            sender_layers=lambda wildcards: cells_of_task(wildcards)[3],
            receiver_layers=lambda wildcards: cells_of_task(wildcards)[4],
            study=STUDY.study,
            seed=STUDY.seed,
            code=lambda wildcards: code_of_pair("stitch_pair.py", wildcards=wildcards),
        script:
            "../../workflow_scripts/stitch_pair.py"

    rule measure_training_budget:
        input:
            dataset=IMAGES,
            records=BUDGET_RECORDS,
        output:
            cells=BUDGET_CELLS,
            summary=report(
                BUDGET_SUMMARY,
                caption="../../report/training_budget_summary.rst",
                category="Tables",
                labels={"table": "training budget"},
            ),
        log:
            RESULTS / "logs/measure_training_budget.log",
        benchmark:
            RESULTS / "benchmarks/measure_training_budget.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        resources:
            mem_mb=tables_mb,
            runtime=tables_minutes,
        params:
            records=digest_of(BUDGET_RECORDS),
            study=STUDY.study,
            seed=STUDY.seed,
            settings=dict.fromkeys(("task", REMAPPED), settings_of_objective("task")),
            code=code_of("measure_training_budget.py"),
        script:
            "../../workflow_scripts/measure_training_budget.py"

    rule draw_training_budget:
        input:
            cells=BUDGET_CELLS,
            summary=BUDGET_SUMMARY,
            networks=TABLES["networks"],
        output:
            BUDGET_FIGURE,
        log:
            RESULTS / "logs/draw_training_budget.log",
        benchmark:
            RESULTS / "benchmarks/draw_training_budget.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        resources:
            mem_mb=tables_mb,
            runtime=tables_minutes,
        params:
            measure="training_budget",
            paper=PAPER,
            caption=caption_of("training_budget.rst"),
            arguments={"colormap": COLORMAP},
            code=code_of("draw_measure.py", modules=("modelstitch.figures.training_budget",)),
        script:
            "../../workflow_scripts/draw_measure.py"
