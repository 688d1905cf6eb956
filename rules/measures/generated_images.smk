"""Images that stitches into the receiver's input make."""

IMAGES_MEASURED = STUDY.measures.generated_images
GENERATED = "{objective}/{sender}/{receiver}"
ALL_GENERATED = [f"{objective}/{pair.sender}/{pair.receiver}" for objective, pair in STITCHES_MEASURED]
GENERATED_TABLES = [f"{RESULTS}/measures/generated_images/{name}.csv" for name in ALL_GENERATED]
GENERATED_IMAGES = [f"{RESULTS}/measures/generated_images/{name}.h5" for name in ALL_GENERATED]
GENERATION_TABLE = RESULTS / "tables/generated_images.csv"
GENERATION_FIGURES = [
    file
    for pair in dict.fromkeys(pair for _, pair in STITCHES_MEASURED)
    for file in in_report(
        RESULTS / f"figures/generated_images/{pair.sender}/{pair.receiver}",
        "../../report/generated_images_pair.rst",
        "Generated images",
        sender=str(pair.sender),
        receiver=str(pair.receiver),
    )
] + in_report(
    RESULTS / "figures/generated_images",
    "../../report/generated_images_metrics.rst",
    "Generated images",
    figure="by layer",
)
INPUT_STITCHES = f"{RESULTS}/generated_images/{GENERATED}.safetensors"


if IMAGES_MEASURED:
    MEASURED += [str(file) for file in [GENERATION_TABLE, *GENERATION_FIGURES]]
    MEASURED += [f"{RESULTS}/generated_images/{name}.safetensors" for name in ALL_GENERATED if KEEP_STITCHES]

    rule stitch_input:
        input:
            unpack(made_of(f"{RESULTS}/generated_images/{GENERATED}.h5", "sender", "receiver")),
        output:
            record=f"{RESULTS}/generated_images/{GENERATED}.h5",
            stitches=INPUT_STITCHES if KEEP_STITCHES else temp(INPUT_STITCHES),
        log:
            RESULTS / "logs/stitch_input/{objective}/{sender}/{receiver}.log",
        benchmark:
            RESULTS / "benchmarks/stitch_input/{objective}/{sender}/{receiver}.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        threads: STUDY.jobs.threads
        resources:
            mem_mb=memory_of(cells_into_input),
            runtime=minutes_of(cells_into_input),
            gpu=GPUS,
            device=DEVICE,
        params:
            objective="{objective}",
            settings=settings_of,
            sender_cuts=cuts_of("sender"),
            receiver_cuts=cuts_of("receiver"),
            sender_layers=sender_layers,
            receiver_layers=[-1],
            study=STUDY.study,
            seed=STUDY.seed,
            code=lambda wildcards: code_of_pair("stitch_pair.py", wildcards=wildcards),
        script:
            "../../workflow_scripts/stitch_pair.py"

    rule measure_generated_images:
        input:
            unpack(made_of(f"{RESULTS}/measures/generated_images/{GENERATED}.csv", "sender", "receiver")),
            record=ancient(rules.stitch_input.output.record),
            stitches=INPUT_STITCHES,
        output:
            table=f"{RESULTS}/measures/generated_images/{GENERATED}.csv",
            images=f"{RESULTS}/measures/generated_images/{GENERATED}.h5",
        log:
            RESULTS / "logs/measure_generated_images/{objective}/{sender}/{receiver}.log",
        benchmark:
            RESULTS / "benchmarks/measure_generated_images/{objective}/{sender}/{receiver}.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        threads: STUDY.jobs.threads
        resources:
            mem_mb=memory_of(cells_into_input),
            runtime=minutes_of_measure("sender", "receiver"),
            gpu=GPUS,
            device=DEVICE,
        params:
            images=IMAGES_MEASURED.images,
            shown=IMAGES_MEASURED.shown,
            precision=precision_of,
            sender_cuts=cuts_of("sender"),
            receiver_cuts=cuts_of("receiver"),
            code=lambda wildcards: code_of_pair("measure_generated_images.py", wildcards=wildcards),
        script:
            "../../workflow_scripts/measure_generated_images.py"

    rule gather_generated_images:
        input:
            cells=GENERATED_TABLES,
        output:
            cells=report(
                GENERATION_TABLE,
                caption="../../report/generated_images.rst",
                category="Tables",
                labels={"table": "generated_images"},
            ),
        log:
            RESULTS / "logs/gather_generated_images.log",
        benchmark:
            RESULTS / "benchmarks/gather_generated_images.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        resources:
            mem_mb=TABLES_MB,
            runtime=TABLES_MINUTES,
        params:
            tables=digest_of(GENERATED_TABLES),
            code=code_of("gather_tables.py"),
        script:
            "../../workflow_scripts/gather_tables.py"

    rule draw_generated_images:
        input:
            table=GENERATION_TABLE,
            networks=TABLES["networks"],
            images=GENERATED_IMAGES,
        output:
            GENERATION_FIGURES,
        log:
            RESULTS / "logs/draw_generated_images.log",
        benchmark:
            RESULTS / "benchmarks/draw_generated_images.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        resources:
            mem_mb=TABLES_MB,
            runtime=TABLES_MINUTES,
        params:
            images=lambda wildcards, input: str(Path(input.images[0]).parents[2]),
            folder=lambda wildcards, output: str(Path(output[-1]).parent),
            formats=DRAWN,
            paper=PAPER,
            captions={
                "pair": caption_of("generated_images_pair.rst"),
                "metrics": caption_of("generated_images_metrics.rst"),
            },
            tables=digest_of(GENERATED_TABLES),
            code=code_of("draw_generated_images.py"),
        script:
            "../../workflow_scripts/draw_generated_images.py"
