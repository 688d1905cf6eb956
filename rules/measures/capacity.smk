"""Accuracy by what a stitch can express: of some pairs, the matrix of every family."""

WIDENING = STUDY.measures.capacity
# The task, and its control on remapped labels where the study has it.
CAPACITY_OBJECTIVES = [objective for objective in ("task", REMAPPED) if objective in OBJECTIVES]
CAPACITY_FAMILIES = [label(family) for family in (WIDENING.families if WIDENING else ())]
CAPACITY_RECORD = RESULTS / "capacity/{objective}/{family}/{sender}/{receiver}.h5"
CAPACITY_RECORDS = [
    str(CAPACITY_RECORD).format(objective=objective, family=family, sender=pair.sender, receiver=pair.receiver)
    for pair in (WIDENING.pairs if WIDENING else ())
    for objective in CAPACITY_OBJECTIVES
    for family in CAPACITY_FAMILIES
]
CAPACITY_CELLS = RESULTS / "tables/capacity.csv"
CAPACITY_FIGURE = in_report(RESULTS / "figures/capacity", "../../report/capacity.rst", "Capacity", figure="capacity")


if WIDENING:
    MEASURED += [str(file) for file in (CAPACITY_CELLS, *CAPACITY_FIGURE)]

    rule stitch_capacity:
        input:
            unpack(made_of(CAPACITY_RECORD, "sender", "receiver")),
        output:
            record=CAPACITY_RECORD,
            stitches=temp(CAPACITY_RECORD.with_suffix(".safetensors")),
        log:
            RESULTS / "logs/stitch_capacity/{objective}/{family}/{sender}/{receiver}.log",
        benchmark:
            RESULTS / "benchmarks/stitch_capacity/{objective}/{family}/{sender}/{receiver}.tsv"
        wildcard_constraints:
            family="|".join(CAPACITY_FAMILIES),
        conda:
            "../../envs/modelstitch.yaml"
        threads: STUDY.jobs.threads
        resources:
            mem_mb=memory_of_capacity,
            runtime=minutes_of_capacity,
            gpu=GPUS,
            device=DEVICE,
        params:
            objective="{objective}",
            settings=lambda wildcards: capacity_settings(wildcards).plain(),
            sender_cuts=cuts_of("sender"),
            receiver_cuts=cuts_of("receiver"),
            sender_layers=lambda wildcards: cells_of_task(wildcards)[3],
            receiver_layers=lambda wildcards: cells_of_task(wildcards)[4],
            study=STUDY.study,
            seed=STUDY.seed,
            code=capacity_code,
        script:
            "../../workflow_scripts/stitch_pair.py"

    rule measure_capacity:
        input:
            dataset=IMAGES,
            records=CAPACITY_RECORDS,
        output:
            cells=report(
                CAPACITY_CELLS,
                caption="../../report/capacity_cells.rst",
                category="Tables",
                labels={"table": "capacity"},
            ),
        log:
            RESULTS / "logs/measure_capacity.log",
        benchmark:
            RESULTS / "benchmarks/measure_capacity.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        resources:
            mem_mb=tables_mb,
            runtime=tables_minutes,
        params:
            records=digest_of(CAPACITY_RECORDS),
            study=STUDY.study,
            seed=STUDY.seed,
            settings={label(one): WIDENING.training(STUDY.stitches.task, one).plain() for one in WIDENING.families},
            code=lambda wildcards: code_of(
                "measure_capacity.py",
                modules=tuple(map(family_module, sorted({one.name for one in WIDENING.families}))),
            ),
        script:
            "../../workflow_scripts/measure_capacity.py"

    rule draw_capacity:
        input:
            cells=CAPACITY_CELLS,
            networks=TABLES["networks"],
        output:
            CAPACITY_FIGURE,
        log:
            RESULTS / "logs/draw_capacity.log",
        benchmark:
            RESULTS / "benchmarks/draw_capacity.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        resources:
            mem_mb=tables_mb,
            runtime=tables_minutes,
        params:
            measure="capacity",
            paper=PAPER,
            caption=caption_of("capacity.rst"),
            code=code_of("draw_measure.py", modules=("modelstitch.figures.capacity",)),
        script:
            "../../workflow_scripts/draw_measure.py"
