"""Does a stitch preserve the expected representation, or hack the receiver?"""

from modelstitch.networks.architectures import count_layers

HACKED = STUDY.measures.hacking
PAIRS_HACKED = [
    f"{RESULTS}/measures/hacking/{objective}/{pair.sender}/{pair.receiver}"
    for objective in OBJECTIVES
    for pair in PAIRS
]
HACKING_TABLES = {name: f"{RESULTS}/tables/{name}.csv" for name in ("hacking", "hacking_suffix")}
HACKING_FIGURES = [
    file
    for objective in OBJECTIVES
    for file in in_report(
        f"{RESULTS}/figures/hacking_{objective}",
        "../report/hacking_figure.rst",
        "Preserving or hacking",
        figure="accuracy and measures",
        objective=objective,
    )
]
HACKING = [*HACKING_TABLES.values(), *map(str, HACKING_FIGURES)] if HACKED else []
if HACKED:
    HACKED_IMAGES = min(HACKED.images, COSTS.sizes.train_images)
    HACKED_CELLS = max(map(count_layers, STUDY.networks.architectures)) ** 2
    # Four features a channel of the last stage, float32, of training and test images; distances between all images.
    HACKED_MB = (
        2 * 4 * HACKED_CELLS * 4 * 8 * STUDY.networks.width * HACKED_IMAGES + 6 * 8 * HACKED_IMAGES**2
    ) // 2**20


if HACKED:

    rule measure_hacking:
        input:
            dataset=DATASET,
            sender=NETWORKS / "{sender}.safetensors",
            receiver=NETWORKS / "{receiver}.safetensors",
            record=RECORD,
            stitches=str(STITCHES),
        output:
            cells=RESULTS / "measures/hacking/{objective}/{sender}/{receiver}.csv",
            suffixes=RESULTS / "measures/hacking/{objective}/{sender}/{receiver}.suffix.csv",
        log:
            RESULTS / "logs/measure_hacking/{objective}/{sender}/{receiver}.log",
        benchmark:
            RESULTS / "benchmarks/measure_hacking/{objective}/{sender}/{receiver}.tsv"
        conda:
            "../envs/modelstitch.yaml"
        threads: STUDY.jobs.threads
        resources:
            mem_mb=lambda wildcards, attempt: (COSTS.pair_mb(wildcards.sender) + HACKED_MB) * attempt,
            runtime=times_attempt(120),
            gpu=GPUS,
            device=DEVICE,
        params:
            settings=HACKED.model_dump(mode="json"),
            seed=STUDY.seed,
            precision=precision_of,
            code=code_of("measure_hacking.py"),
        script:
            "../workflow_scripts/measure_hacking.py"

    rule gather_hacking:
        input:
            cells=[f"{pair}.csv" for pair in PAIRS_HACKED],
            suffixes=[f"{pair}.suffix.csv" for pair in PAIRS_HACKED],
        output:
            cells=report(
                HACKING_TABLES["hacking"],
                caption="../report/hacking.rst",
                category="Tables",
                labels={"table": "hacking"},
            ),
            suffixes=HACKING_TABLES["hacking_suffix"],  # too long for the report
        log:
            RESULTS / "logs/gather_hacking.log",
        benchmark:
            RESULTS / "benchmarks/gather_hacking.tsv"
        conda:
            "../envs/modelstitch.yaml"
        resources:
            mem_mb=4000,
            runtime=60,
        params:
            pairs=digest_of(PAIRS_HACKED),
            code=code_of("gather_hacking.py"),
        script:
            "../workflow_scripts/gather_hacking.py"

    rule draw_hacking:
        input:
            HACKING_TABLES["hacking"],
        output:
            HACKING_FIGURES,
        log:
            RESULTS / "logs/draw_hacking.log",
        benchmark:
            RESULTS / "benchmarks/draw_hacking.tsv"
        conda:
            "../envs/modelstitch.yaml"
        resources:
            mem_mb=4000,
            runtime=60,
        params:
            folder=lambda wildcards, output: str(Path(output[0]).parent),
            formats=list(FORMATS),
            pairs=digest_of(PAIRS_HACKED),
            code=code_of("draw_hacking.py"),
        script:
            "../workflow_scripts/draw_hacking.py"
