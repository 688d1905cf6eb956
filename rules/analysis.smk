"""Tables and matrices: all cells of the study, tidy and laid out, beside the paper's, and what went wrong."""

TABLES = {
    "cells_parquet": RESULTS / "tables/cells.parquet",
    "networks": RESULTS / "tables/networks.csv",
}
OUTCOMES = RESULTS / "outcomes"
TRIANGLE = RESULTS / "tables/triangle.csv"
SELF_CONSISTENCY = RESULTS / "tables/self_consistency.csv"
UNCERTAINTY = table_of_cells("uncertainty")
COMPARISONS = {
    "comparisons": table_of_cells("comparisons"),
    "comparison_summary": RESULTS / "tables/comparison_summary.csv",
}
FAILURES = RESULTS / "tables/failures.csv"
PUBLISHED = {name: RESULTS / f"tables/{name}.csv" for name in ("published", "published_cells")}
NETWORKS_NEEDED = STUDY.networks_needed()
MATRICES = RESULTS / "matrices"


CELLS = [shown_unless_large(table_of_cells("cells"), "../report/cells.rst", "cells")]
if not LARGE:
    CELLS.append(TABLES["cells_parquet"])


rule make_tables:
    input:
        dataset=IMAGES,
        records=all_records,
        networks=[NETWORKS / f"{network}.json" for network in NETWORKS_NEEDED],
    output:
        cells=CELLS,
        outcomes=directory(OUTCOMES),
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
    threads: 4 if LARGE else 1
    resources:
        mem_mb=tables_mb,
        runtime=tables_minutes,
    params:
        by_sender=LARGE,
        records=digest_each(all_records),
        networks=digest_of(NETWORKS_NEEDED),
        study=STUDY.study,
        seed=STUDY.seed,
        settings={objective: settings_of_objective(objective) for objective in OBJECTIVES},
        layers={name: list(network.names) for name, network in PLAN.descriptions.items()},
        code=code_of("make_tables.py"),
    script:
        "../workflow_scripts/make_tables.py"


rule make_matrices:
    input:
        cells=TABLES["cells_parquet"],
    output:
        directory(MATRICES),
    log:
        RESULTS / "logs/make_matrices.log",
    benchmark:
        RESULTS / "benchmarks/make_matrices.tsv"
    conda:
        "../envs/modelstitch.yaml"
    resources:
        mem_mb=tables_mb,
        runtime=tables_minutes,
    params:
        records=digest_each(all_records),
        code=code_of("make_matrices.py"),
    script:
        "../workflow_scripts/make_matrices.py"


rule find_failures:
    input:
        outcomes=OUTCOMES,
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
        mem_mb=tables_mb,
        runtime=tables_minutes,
    params:
        records=digest_each(all_records),
        networks=digest_of(NETWORKS_NEEDED),
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
        mem_mb=tables_mb,
        runtime=tables_minutes,
    params:
        numbers=digest_of([(CHECKOUT / "modelstitch/analysis/published/accuracies.csv").read_text()]),
        code=code_of("compare_published.py"),
    script:
        "../workflow_scripts/compare_published.py"


rule measure_triangle:
    input:
        outcomes=OUTCOMES,
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
    threads: 4 if LARGE else 1
    resources:
        mem_mb=tables_mb,
        runtime=tables_minutes,
    params:
        records=digest_each(all_records),
        seed=STUDY.seed,
        code=code_of("measure_triangle.py"),
    script:
        "../workflow_scripts/measure_triangle.py"


rule measure_uncertainty:
    input:
        cells=TABLES["cells_parquet"],
    output:
        shown_unless_large(UNCERTAINTY, "../report/uncertainty.rst", "uncertainty"),
    log:
        RESULTS / "logs/measure_uncertainty.log",
    benchmark:
        RESULTS / "benchmarks/measure_uncertainty.tsv"
    conda:
        "../envs/modelstitch.yaml"
    resources:
        mem_mb=tables_mb,
        runtime=tables_minutes,
    params:
        records=digest_each(all_records),
        code=code_of("measure_uncertainty.py"),
    script:
        "../workflow_scripts/measure_uncertainty.py"


rule compare_cells:
    input:
        outcomes=OUTCOMES,
    output:
        comparisons=directory(COMPARISONS["comparisons"]) if LARGE else COMPARISONS["comparisons"],
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
        mem_mb=tables_mb,
        runtime=tables_minutes,
    params:
        by_sender=LARGE,
        records=digest_each(all_records),
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
        mem_mb=tables_mb,
        runtime=tables_minutes,
    params:
        records=digest_each(all_records),
        code=code_of("measure_self_consistency.py"),
    script:
        "../workflow_scripts/measure_self_consistency.py"
