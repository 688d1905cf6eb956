"""Does a stitch preserve the expected representation, or hack the receiver?"""

HACKED = STUDY.measures.hacking
HACKING_TABLES = {name: f"{RESULTS}/tables/{name}.csv" for name in ("hacking", "hacking_suffix")}
HACKING_FIGURE = in_report(
    f"{RESULTS}/figures/hacking_{{objective}}",
    "../../report/hacking_figure.rst",
    "Preserving or hacking",
    figure="accuracy and measures",
    objective="{objective}",
)


if HACKED:
    MEASURED += HACKING_TABLES.values()
    MEASURED += expand(map(str, HACKING_FIGURE), objective=COMPARED)

    rule measure_hacking:
        input:
            unpack(made_of(RESULTS / "measures/hacking/{objective}/{sender}/{receiver}.csv", "sender", "receiver")),
            record=ancient(RECORD),
            stitches=str(STITCHES),
        output:
            cells=RESULTS / "measures/hacking/{objective}/{sender}/{receiver}.csv",
            suffixes=RESULTS / "measures/hacking/{objective}/{sender}/{receiver}.suffix.csv",
        log:
            RESULTS / "logs/measure_hacking/{objective}/{sender}/{receiver}.log",
        benchmark:
            RESULTS / "benchmarks/measure_hacking/{objective}/{sender}/{receiver}.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        threads: STUDY.jobs.threads
        resources:
            mem_mb=memory(lambda wildcards: of_cells(requests.hacking_mb, *cells_of_pair(wildcards))),
            runtime=minutes_of_measure("sender", "receiver"),
            gpu=GPUS,
            device=DEVICE,
        params:
            measure="hacking",
            settings=HACKED.model_dump(mode="json"),
            seed=STUDY.seed,
            precision=precision_of,
            sender_cuts=cuts_of("sender"),
            receiver_cuts=cuts_of("receiver"),
            code=lambda wildcards: code_of_pair(
                "measure_pair.py", wildcards=wildcards, modules=("modelstitch.measures.hacking",)
            ),
        script:
            "../../workflow_scripts/measure_pair.py"

    hacked_cells = of_study(
        lambda: [
            f"{RESULTS}/measures/hacking/{objective}/{pair.sender}/{pair.receiver}.csv"
            for objective, pair in stitches_measured()
        ]
    )

    rule gather_hacking:
        input:
            cells=hacked_cells,
            suffixes=lambda wildcards: [str(Path(path).with_suffix(".suffix.csv")) for path in hacked_cells()],
        output:
            cells=report(
                HACKING_TABLES["hacking"],
                caption="../../report/hacking.rst",
                category="Tables",
                labels={"table": "hacking"},
            ),
            suffixes=HACKING_TABLES["hacking_suffix"],  # too long for the report
        log:
            RESULTS / "logs/gather_hacking.log",
        benchmark:
            RESULTS / "benchmarks/gather_hacking.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        resources:
            mem_mb=tables_mb,
            runtime=tables_minutes,
        params:
            pairs=digest_each(hacked_cells),
            code=code_of("gather_tables.py"),
        script:
            "../../workflow_scripts/gather_tables.py"

    rule draw_hacking:
        input:
            cells=HACKING_TABLES["hacking"],
        output:
            HACKING_FIGURE,
        log:
            RESULTS / "logs/draw_hacking/{objective}.log",
        benchmark:
            RESULTS / "benchmarks/draw_hacking/{objective}.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        resources:
            mem_mb=tables_mb,
            runtime=tables_minutes,
        params:
            measure="hacking",
            paper=PAPER,
            caption=caption_of("hacking_figure.rst"),
            pairs=digest_each(hacked_cells),
            code=code_of("draw_measure.py", modules=("modelstitch.figures.hacking",)),
        script:
            "../../workflow_scripts/draw_measure.py"
