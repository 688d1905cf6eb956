"""What a stitch learned: singular values, nearness to orthogonal and to a permutation, where its energy goes."""

SPECTRA = STUDY.measures.stitch_spectra
SPECTRA_TABLE = f"{RESULTS}/tables/stitch_spectra.csv"
SPECTRA_FIGURE = in_report(
    f"{RESULTS}/figures/stitch_spectra_{{objective}}",
    "../../report/stitch_spectra_figure.rst",
    "What stitches learned",
    figure="spectra by depth",
    objective="{objective}",
)


if SPECTRA:
    MEASURED += [SPECTRA_TABLE, *expand(map(str, SPECTRA_FIGURE), objective=WITH_SPECTRA)]

    rule measure_stitch_spectra:
        input:
            unpack(stitches_of_pair),
            unpack(made_of(RESULTS / "measures/stitch_spectra/{sender}/{receiver}.csv", "sender", "receiver")),
        output:
            cells=RESULTS / "measures/stitch_spectra/{sender}/{receiver}.csv",
        log:
            RESULTS / "logs/measure_stitch_spectra/{sender}/{receiver}.log",
        benchmark:
            RESULTS / "benchmarks/measure_stitch_spectra/{sender}/{receiver}.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        threads: STUDY.jobs.threads
        resources:
            mem_mb=memory_of_spectra,
            runtime=minutes_of_measure("sender", "receiver"),
            gpu=GPUS,
            device=DEVICE,
        params:
            measure="stitch_spectra",
            settings=SPECTRA.model_dump(mode="json"),
            seed=STUDY.seed,
            precision=lambda wildcards: PLAN.settings[objectives_of(wildcards)[0]].precision,
            objectives=objectives_of,
            sender_cuts=cuts_of("sender"),
            receiver_cuts=cuts_of("receiver"),
            code=lambda wildcards: code_of_pair(
                "measure_pair.py",
                wildcards=wildcards,
                objectives=objectives_of(wildcards),
                modules=("modelstitch.measures.stitch_spectra",),
            ),
        script:
            "../../workflow_scripts/measure_pair.py"

    pair_spectra = of_study(
        lambda: [
            f"{RESULTS}/measures/stitch_spectra/{pair.sender}/{pair.receiver}.csv"
            for pair in dict.fromkeys(pair for objective, pair in stitched() if objective in WITH_SPECTRA)
        ]
    )

    rule gather_stitch_spectra:
        input:
            cells=pair_spectra,
        output:
            cells=report(
                SPECTRA_TABLE,
                caption="../../report/stitch_spectra.rst",
                category="Tables",
                labels={"table": "stitch spectra"},
            ),
        log:
            RESULTS / "logs/gather_stitch_spectra.log",
        benchmark:
            RESULTS / "benchmarks/gather_stitch_spectra.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        resources:
            mem_mb=tables_mb,
            runtime=tables_minutes,
        params:
            pairs=digest_each(pair_spectra),
            code=code_of("gather_tables.py"),
        script:
            "../../workflow_scripts/gather_tables.py"

    rule draw_stitch_spectra:
        input:
            cells=SPECTRA_TABLE,
        output:
            SPECTRA_FIGURE,
        log:
            RESULTS / "logs/draw_stitch_spectra/{objective}.log",
        benchmark:
            RESULTS / "benchmarks/draw_stitch_spectra/{objective}.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        resources:
            mem_mb=tables_mb,
            runtime=tables_minutes,
        params:
            measure="stitch_spectra",
            paper=PAPER,
            caption=caption_of("stitch_spectra_figure.rst"),
            arguments={"colormap": COLORMAP},
            pairs=digest_each(pair_spectra),
            code=code_of("draw_measure.py", modules=("modelstitch.figures.stitch_spectra",)),
        script:
            "../../workflow_scripts/draw_measure.py"
