"""How similar the layers of each cell are by their representations alone, beside its accuracy."""

SIMILARITY = STUDY.measures.statistical_similarity
SIMILARITY_TABLES = {
    name: RESULTS / f"tables/statistical_{name}.csv" for name in ("similarity", "agreement", "disagreement")
}
SIMILARITY_FIGURE = in_report(
    f"{RESULTS}/figures/statistical_similarity_{{objective}}",
    "../../report/statistical_similarity_figure.rst",
    "Statistical and functional similarity",
    figure="accuracy and indices",
    objective="{objective}",
)


if SIMILARITY:
    MEASURED += map(str, SIMILARITY_TABLES.values())
    MEASURED += expand(map(str, SIMILARITY_FIGURE), objective=COMPARED)

    rule measure_statistical_similarity:
        input:
            unpack(made_of(RESULTS / "measures/statistical_similarity/{sender}/{receiver}.csv", "sender", "receiver")),
        output:
            cells=RESULTS / "measures/statistical_similarity/{sender}/{receiver}.csv",
        log:
            RESULTS / "logs/measure_statistical_similarity/{sender}/{receiver}.log",
        benchmark:
            RESULTS / "benchmarks/measure_statistical_similarity/{sender}/{receiver}.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        threads: STUDY.jobs.threads
        resources:
            mem_mb=memory(lambda wildcards: requests.similarity_mb(PLAN, wildcards.sender, wildcards.receiver)),
            runtime=minutes_of_measure("sender", "receiver"),
            gpu=GPUS,
            device=DEVICE,
        params:
            measure="statistical_similarity",
            settings=SIMILARITY.model_dump(mode="json"),
            seed=STUDY.seed,
            precision="float32",
            sender_cuts=cuts_of("sender"),
            receiver_cuts=cuts_of("receiver"),
            code=lambda wildcards: code_of_pair(
                "measure_pair.py",
                wildcards=wildcards,
                objectives=(),
                modules=("modelstitch.measures.statistical_similarity",),
            ),
        script:
            "../../workflow_scripts/measure_pair.py"

    pair_similarities = of_study(
        lambda: [f"{RESULTS}/measures/statistical_similarity/{pair.sender}/{pair.receiver}.csv" for pair in pairs()]
    )

    rule summarise_statistical_similarity:
        input:
            similarities=pair_similarities,
            cells=TABLES["cells_parquet"],
        output:
            similarities=report(
                SIMILARITY_TABLES["similarity"],
                caption="../../report/statistical_similarity.rst",
                category="Tables",
                labels={"table": "statistical similarity"},
            ),
            agreement=report(
                SIMILARITY_TABLES["agreement"],
                caption="../../report/statistical_agreement.rst",
                category="Tables",
                labels={"table": "statistical similarity: agreement"},
            ),
            disagreement=report(
                SIMILARITY_TABLES["disagreement"],
                caption="../../report/statistical_disagreement.rst",
                category="Tables",
                labels={"table": "statistical similarity: disagreement"},
            ),
        log:
            RESULTS / "logs/summarise_statistical_similarity.log",
        benchmark:
            RESULTS / "benchmarks/summarise_statistical_similarity.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        resources:
            mem_mb=tables_mb,
            runtime=tables_minutes,
        params:
            pairs=digest_each(pair_similarities),
            code=code_of("summarise_statistical_similarity.py"),
        script:
            "../../workflow_scripts/summarise_statistical_similarity.py"

    rule draw_statistical_similarity:
        input:
            similarities=SIMILARITY_TABLES["similarity"],
            cells=TABLES["cells_parquet"],
        output:
            SIMILARITY_FIGURE,
        log:
            RESULTS / "logs/draw_statistical_similarity/{objective}.log",
        benchmark:
            RESULTS / "benchmarks/draw_statistical_similarity/{objective}.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        resources:
            mem_mb=tables_mb,
            runtime=tables_minutes,
        params:
            measure="statistical_similarity",
            paper=PAPER,
            caption=caption_of("statistical_similarity_figure.rst"),
            arguments={"colormap": COLORMAP},
            pairs=digest_each(pair_similarities),
            code=code_of("draw_measure.py", modules=("modelstitch.figures.statistical_similarity",)),
        script:
            "../../workflow_scripts/draw_measure.py"
