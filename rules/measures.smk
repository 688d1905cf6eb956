"""Measures: what the stitched networks say of a pair, and of all pairs together."""

TRIANGLE = RESULTS / "tables/triangle.csv"


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
