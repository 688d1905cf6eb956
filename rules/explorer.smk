"""The explorer: the whole study in one page, `report/index.html`."""

EXPLORER = RESULTS / "report/index.html"
EXPLORER_PAGE = sorted((CHECKOUT / "modelstitch/explorer/page").iterdir())


rule write_explorer:
    input:
        dataset=IMAGES,
        records=all_records,
        tables=[
            TABLES["cells_parquet"],
            TABLES["networks"],
            TRIANGLE,
            UNCERTAINTY,
            *COMPARISONS.values(),
            SELF_CONSISTENCY,
            FAILURES,
            *PUBLISHED.values(),
            *[file for file in map(str, MEASURED) if Path(file).match("tables/*.csv")],
        ],
    output:
        page=EXPLORER,
        beside=directory(EXPLORER.parent / "data"),
    log:
        RESULTS / "logs/write_explorer.log",
    benchmark:
        RESULTS / "benchmarks/write_explorer.tsv"
    conda:
        "../envs/modelstitch.yaml"
    resources:
        mem_mb=tables_mb,
        runtime=tables_minutes,
    params:
        study=STUDY.study,
        seed=STUDY.seed,
        records=digest_each(all_records),
        colormap=COLORMAP,
        page=digest_of([file.read_text(encoding="utf-8") for file in EXPLORER_PAGE]),
        code=code_of("write_explorer.py"),
    script:
        "../workflow_scripts/write_explorer.py"
