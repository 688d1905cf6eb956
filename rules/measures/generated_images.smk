"""Images that stitches into the receiver's input make."""

IMAGES_MEASURED = STUDY.measures.generated_images
GENERATED = "{objective}/{sender}/{receiver}"
GENERATION_TABLE = RESULTS / "tables/generated_images.csv"
GENERATED_PAIR_FIGURES = {"pairs": RESULTS / "figures/generated_images"} if PAIRS_DRAWN else {}
GENERATION_FIGURE = in_report(
    RESULTS / "figures/generated_images",
    "../../report/generated_images_metrics.rst",
    "Generated images",
    figure="by layer",
)
INPUT_STITCHES = f"{RESULTS}/generated_images/{GENERATED}.safetensors"


if IMAGES_MEASURED:
    MEASURED += [str(file) for file in [GENERATION_TABLE, *GENERATED_PAIR_FIGURES.values(), *GENERATION_FIGURE]]

    generated_tables = of_each_stitch(f"{RESULTS}/measures/generated_images/{GENERATED}.csv")
    generated_files = of_each_stitch(f"{RESULTS}/measures/generated_images/{GENERATED}.h5")
    if KEEP_STITCHES:
        MEASURED.append(of_each_stitch(INPUT_STITCHES))

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
            cells=generated_tables,
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
            mem_mb=tables_mb,
            runtime=tables_minutes,
        params:
            tables=digest_each(generated_tables),
            code=code_of("gather_tables.py"),
        script:
            "../../workflow_scripts/gather_tables.py"

    rule draw_generated_images:
        input:
            table=GENERATION_TABLE,
            networks=TABLES["networks"],
            images=generated_files,
        output:
            GENERATION_FIGURE,
            **{
                name: of_pairs(
                    folder,
                    "{sender}/{receiver}",
                    "../../report/generated_images_pair.rst",
                    "Generated images",
                )
                for name, folder in GENERATED_PAIR_FIGURES.items()
            },
        log:
            RESULTS / "logs/draw_generated_images.log",
        benchmark:
            RESULTS / "benchmarks/draw_generated_images.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        resources:
            mem_mb=tables_mb,
            runtime=tables_minutes,
        params:
            images=lambda wildcards, input: str(Path(input.images[0]).parents[2]),
            folder=lambda wildcards, output: str(Path(output[0]).parent),
            pairs=PAIRS_DRAWN,
            formats=DRAWN,
            paper=PAPER,
            captions={
                "pair": caption_of("generated_images_pair.rst"),
                "metrics": caption_of("generated_images_metrics.rst"),
            },
            tables=digest_each(generated_tables),
            code=code_of("draw_generated_images.py"),
        script:
            "../../workflow_scripts/draw_generated_images.py"
