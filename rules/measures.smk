"""Measures: what the stitched networks say of a pair, and of all pairs together."""

TRIANGLE = RESULTS / "tables/triangle.csv"
# Distances between representations need the stitches of both objectives.
MEASURED = {"task", "similarity"} <= set(OBJECTIVES)
MEASURES = [f"{RESULTS}/measures/distances/{pair.sender}/{pair.receiver}.csv" for pair in PAIRS if MEASURED]
DISTANCES = [RESULTS / f"tables/{name}.csv" for name in ("distances", "distance_summary") if MEASURED]


rule measure_triangle:
    input:
        dataset=DATASET,
        records=RECORDS,
    output:
        report(
            TRIANGLE,
            caption="../report/triangle.rst",
            category="Tables",
            labels={"table": "triangle"},
        ),
    log:
        RESULTS / "logs/measure_triangle.log",
    benchmark:
        RESULTS / "benchmarks/measure_triangle.tsv"
    conda:
        "../envs/modelstitch.yaml"
    resources:
        mem_mb=max(4000, COSTS.dataset_mb()),
        runtime=60,
    params:
        records=digest_of(RECORDS),
        seed=STUDY.seed,
        code=code_of("measure_triangle.py"),
    script:
        "../workflow_scripts/measure_triangle.py"


if MEASURED:

    rule measure_distances:
        input:
            dataset=DATASET,
            sender=NETWORKS / "{sender}.safetensors",
            receiver=NETWORKS / "{receiver}.safetensors",
            vanilla=str(STITCHES).replace("{objective}", "task"),
            similar=str(STITCHES).replace("{objective}", "similarity"),
        output:
            RESULTS / "measures/distances/{sender}/{receiver}.csv",
        log:
            RESULTS / "logs/measure_distances/{sender}/{receiver}.log",
        benchmark:
            RESULTS / "benchmarks/measure_distances/{sender}/{receiver}.tsv"
        conda:
            "../envs/modelstitch.yaml"
        threads: STUDY.jobs.threads
        resources:
            mem_mb=memory_of_pair,
            runtime=times_attempt(60),
            gpu=GPUS,
            device=DEVICE,
        params:
            precision=STUDY.stitches.task.precision,
            code=code_of("measure_distances.py"),
        script:
            "../workflow_scripts/measure_distances.py"

    rule summarise_distances:
        input:
            MEASURES,
        output:
            distances=report(
                RESULTS / "tables/distances.csv",
                caption="../report/distances.rst",
                category="Tables",
                labels={"table": "distances"},
            ),
            summary=report(
                RESULTS / "tables/distance_summary.csv",
                caption="../report/distance_summary.rst",
                category="Tables",
                labels={"table": "distances: summary"},
            ),
        log:
            RESULTS / "logs/summarise_distances.log",
        benchmark:
            RESULTS / "benchmarks/summarise_distances.tsv"
        conda:
            "../envs/modelstitch.yaml"
        resources:
            mem_mb=4000,
            runtime=60,
        params:
            pairs=digest_of(MEASURES),
            numbers=digest_of([(Path(workflow.basedir) / "modelstitch/analysis/published/squared_errors.csv").read_text()]),
            code=code_of("summarise_distances.py"),
        script:
            "../workflow_scripts/summarise_distances.py"
