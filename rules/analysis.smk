"""Tables and matrices: all cells of the study, tidy and laid out, beside the paper's, and what went wrong."""

TABLES = {
    "cells_csv": RESULTS / "tables/cells.csv",
    "cells_parquet": RESULTS / "tables/cells.parquet",
    "networks": RESULTS / "tables/networks.csv",
}
TRIANGLE = RESULTS / "tables/triangle.csv"
SELF_CONSISTENCY = RESULTS / "tables/self_consistency.csv"
UNCERTAINTY = RESULTS / "tables/uncertainty.csv"
COMPARISONS = {name: RESULTS / f"tables/{name}.csv" for name in ("comparisons", "comparison_summary")}
FAILURES = RESULTS / "tables/failures.csv"
PUBLISHED = {name: RESULTS / f"tables/{name}.csv" for name in ("published", "published_cells")}
NETWORKS_NEEDED = STUDY.networks_needed()
MATRICES = [
    f"{RESULTS}/matrices/{objective}/{pair.sender}/{pair.receiver}{suffix}"
    for objective, pair in SHOWN
    for suffix in ([".csv"] if objective == OVER_REMAPPED else [".csv", ".relative.csv"])
]


rule make_tables:
    input:
        dataset=IMAGES,
        records=RECORDS,
        networks=[NETWORKS / f"{network}.json" for network in NETWORKS_NEEDED],
    output:
        cells_csv=report(
            TABLES["cells_csv"],
            caption="../report/cells.rst",
            category="Tables",
            labels={"table": "cells"},
        ),
        cells_parquet=TABLES["cells_parquet"],
        networks=report(
            TABLES["networks"],
            caption="../report/networks.rst",
            category="Tables",
            labels={"table": "networks"},
        ),
    log:
        RESULTS / "logs/make_tables.log",
    benchmark:
        RESULTS / "benchmarks/make_tables.tsv"
    conda:
        "../envs/modelstitch.yaml"
    resources:
        mem_mb=TABLES_MB,
        runtime=TABLES_MINUTES,
    params:
        records=digest_of(RECORDS),
        networks=digest_of(NETWORKS_NEEDED),
        study=STUDY.study,
        seed=STUDY.seed,
        code=code_of("make_tables.py"),
    script:
        "../workflow_scripts/make_tables.py"


rule make_matrices:
    input:
        cells=TABLES["cells_parquet"],
    output:
        MATRICES,
    log:
        RESULTS / "logs/make_matrices.log",
    benchmark:
        RESULTS / "benchmarks/make_matrices.tsv"
    conda:
        "../envs/modelstitch.yaml"
    resources:
        mem_mb=TABLES_MB,
        runtime=TABLES_MINUTES,
    params:
        folder=lambda wildcards, output: str(Path(output[0]).parents[2]),
        records=digest_of(RECORDS),
        code=code_of("make_matrices.py"),
    script:
        "../workflow_scripts/make_matrices.py"


rule find_failures:
    input:
        dataset=IMAGES,
        records=RECORDS,
        cells=TABLES["cells_parquet"],
        networks=TABLES["networks"],
    output:
        report(
            FAILURES,
            caption="../report/failures.rst",
            category="Tables",
            labels={"table": "failures"},
        ),
    log:
        RESULTS / "logs/find_failures.log",
    benchmark:
        RESULTS / "benchmarks/find_failures.tsv"
    conda:
        "../envs/modelstitch.yaml"
    resources:
        mem_mb=TABLES_MB,
        runtime=TABLES_MINUTES,
    params:
        records=digest_of(RECORDS),
        networks=digest_of(NETWORKS_NEEDED),
        study=STUDY.study,
        seed=STUDY.seed,
        code=code_of("find_failures.py"),
    script:
        "../workflow_scripts/find_failures.py"


rule compare_published:
    input:
        cells=TABLES["cells_parquet"],
        networks=TABLES["networks"],
    output:
        pairs=report(
            PUBLISHED["published"],
            caption="../report/published.rst",
            category="Tables",
            labels={"table": "published"},
        ),
        cells=report(
            PUBLISHED["published_cells"],
            caption="../report/published_cells.rst",
            category="Tables",
            labels={"table": "published, cell by cell"},
        ),
    log:
        RESULTS / "logs/compare_published.log",
    benchmark:
        RESULTS / "benchmarks/compare_published.tsv"
    conda:
        "../envs/modelstitch.yaml"
    resources:
        mem_mb=TABLES_MB,
        runtime=TABLES_MINUTES,
    params:
        numbers=digest_of([(Path(workflow.basedir) / "modelstitch/analysis/published/accuracies.csv").read_text()]),
        code=code_of("compare_published.py"),
    script:
        "../workflow_scripts/compare_published.py"


rule measure_triangle:
    input:
        dataset=IMAGES,
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
        mem_mb=TABLES_MB + requests.dataset_mb(PLAN),
        runtime=TABLES_MINUTES,
    params:
        records=digest_of(RECORDS),
        seed=STUDY.seed,
        study=STUDY.study,
        code=code_of("measure_triangle.py"),
    script:
        "../workflow_scripts/measure_triangle.py"


rule measure_uncertainty:
    input:
        cells=TABLES["cells_parquet"],
    output:
        report(
            UNCERTAINTY,
            caption="../report/uncertainty.rst",
            category="Tables",
            labels={"table": "uncertainty"},
        ),
    log:
        RESULTS / "logs/measure_uncertainty.log",
    benchmark:
        RESULTS / "benchmarks/measure_uncertainty.tsv"
    conda:
        "../envs/modelstitch.yaml"
    resources:
        mem_mb=TABLES_MB,
        runtime=TABLES_MINUTES,
    params:
        records=digest_of(RECORDS),
        code=code_of("measure_uncertainty.py"),
    script:
        "../workflow_scripts/measure_uncertainty.py"


rule compare_cells:
    input:
        dataset=IMAGES,
        records=RECORDS,
    output:
        comparisons=COMPARISONS["comparisons"],
        summary=report(
            COMPARISONS["comparison_summary"],
            caption="../report/comparison_summary.rst",
            category="Tables",
            labels={"table": "comparisons of cells"},
        ),
    log:
        RESULTS / "logs/compare_cells.log",
    benchmark:
        RESULTS / "benchmarks/compare_cells.tsv"
    conda:
        "../envs/modelstitch.yaml"
    resources:
        mem_mb=TABLES_MB + requests.dataset_mb(PLAN),
        runtime=TABLES_MINUTES,
    params:
        records=digest_of(RECORDS),
        study=STUDY.study,
        seed=STUDY.seed,
        code=code_of("compare_cells.py"),
    script:
        "../workflow_scripts/compare_cells.py"


rule measure_self_consistency:
    input:
        cells=TABLES["cells_parquet"],
    output:
        report(
            SELF_CONSISTENCY,
            caption="../report/self_consistency.rst",
            category="Tables",
            labels={"table": "self-consistency"},
        ),
    log:
        RESULTS / "logs/measure_self_consistency.log",
    benchmark:
        RESULTS / "benchmarks/measure_self_consistency.tsv"
    conda:
        "../envs/modelstitch.yaml"
    resources:
        mem_mb=TABLES_MB,
        runtime=TABLES_MINUTES,
    params:
        records=digest_of(RECORDS),
        code=code_of("measure_self_consistency.py"),
    script:
        "../workflow_scripts/measure_self_consistency.py"
