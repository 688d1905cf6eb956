"""A sender that is noise, one cluster per class, stitched into every layer of each receiver."""

NOISE = STUDY.measures.clustered_noise
NOISE_TABLE = f"{RESULTS}/tables/clustered_noise.csv"
NOISE_FIGURE = in_report(
    f"{RESULTS}/figures/clustered_noise",
    "../../report/clustered_noise_figure.rst",
    "Controls",
    figure="clustered noise",
)


if NOISE:
    MEASURED += [NOISE_TABLE, *map(str, NOISE_FIGURE)]

    rule measure_clustered_noise:
        input:
            unpack(made_of(RESULTS / "measures/clustered_noise/{network}.csv", "network")),
        output:
            RESULTS / "measures/clustered_noise/{network}.csv",
        log:
            RESULTS / "logs/measure_clustered_noise/{network}.log",
        benchmark:
            RESULTS / "benchmarks/measure_clustered_noise/{network}.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        threads: STUDY.jobs.threads
        resources:
            mem_mb=memory(lambda wildcards: requests.noise_mb(PLAN, wildcards.network)),
            runtime=minutes_of_measure("network"),
            gpu=GPUS,
            device=DEVICE,
        params:
            settings=NOISE.model_dump(mode="json"),
            seed=STUDY.seed,
            precision=getattr(STUDY.stitches.task, "precision", "float32"),
            cuts=cuts_of("network"),
            code=lambda wildcards: code_of_network("measure_clustered_noise.py", wildcards.network),
        script:
            "../../workflow_scripts/measure_clustered_noise.py"

    receiver_noises = of_study(
        lambda: [
            f"{RESULTS}/measures/clustered_noise/{receiver}.csv"
            for receiver in dict.fromkeys(pair.receiver for pair in pairs())
        ]
    )

    rule gather_clustered_noise:
        input:
            cells=receiver_noises,
        output:
            cells=report(
                NOISE_TABLE,
                caption="../../report/clustered_noise.rst",
                category="Tables",
                labels={"table": "clustered noise"},
            ),
        log:
            RESULTS / "logs/gather_clustered_noise.log",
        benchmark:
            RESULTS / "benchmarks/gather_clustered_noise.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        resources:
            mem_mb=tables_mb,
            runtime=tables_minutes,
        params:
            networks=digest_each(receiver_noises),
            code=code_of("gather_tables.py"),
        script:
            "../../workflow_scripts/gather_tables.py"

    rule draw_clustered_noise:
        input:
            cells=NOISE_TABLE,
            networks=TABLES["networks"],
        output:
            NOISE_FIGURE,
        log:
            RESULTS / "logs/draw_clustered_noise.log",
        benchmark:
            RESULTS / "benchmarks/draw_clustered_noise.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        resources:
            mem_mb=tables_mb,
            runtime=tables_minutes,
        params:
            measure="clustered_noise",
            paper=PAPER,
            caption=caption_of("clustered_noise_figure.rst"),
            code=code_of("draw_measure.py", modules=("modelstitch.figures.clustered_noise",)),
        script:
            "../../workflow_scripts/draw_measure.py"
