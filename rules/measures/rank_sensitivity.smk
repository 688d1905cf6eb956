"""Does accuracy fall with what the sender keeps? Its representations truncated to lower ranks."""

RANKED = STUDY.measures.rank_sensitivity
PAIR_RANKS = [
    f"{RESULTS}/measures/rank_sensitivity/{pair.sender}/{pair.receiver}.csv"
    for pair in (RANKED.pairs if RANKED else ())
]
RANK_TABLE = f"{RESULTS}/tables/rank_sensitivity.csv"
RANK_FIGURE = in_report(
    f"{RESULTS}/figures/rank_sensitivity",
    "../../report/rank_sensitivity_figure.rst",
    "Controls",
    figure="rank of the sender",
)


if RANKED:
    MEASURED += [RANK_TABLE, *map(str, RANK_FIGURE)]

    rule measure_rank_sensitivity:
        input:
            unpack(made_of(RESULTS / "measures/rank_sensitivity/{sender}/{receiver}.csv", "sender", "receiver")),
        output:
            RESULTS / "measures/rank_sensitivity/{sender}/{receiver}.csv",
        log:
            RESULTS / "logs/measure_rank_sensitivity/{sender}/{receiver}.log",
        benchmark:
            RESULTS / "benchmarks/measure_rank_sensitivity/{sender}/{receiver}.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        threads: STUDY.jobs.threads
        resources:
            mem_mb=memory(lambda wildcards: requests.rank_mb(PLAN, wildcards.sender, wildcards.receiver)),
            runtime=minutes_of(cells_of_task),
            gpu=GPUS,
            device=DEVICE,
        params:
            images=RANKED.images,
            training=STUDY.stitches.task.model_copy(update={"keep_stitches": False}).model_dump(
                mode="json", exclude={"pairs"}
            ),
            seed=STUDY.seed,
            sender_cuts=cuts_of("sender"),
            receiver_cuts=cuts_of("receiver"),
            code=lambda wildcards: code_of_pair(
                "measure_rank_sensitivity.py", wildcards=wildcards, objectives=("task",)
            ),
        script:
            "../../workflow_scripts/measure_rank_sensitivity.py"

    rule gather_rank_sensitivity:
        input:
            cells=PAIR_RANKS,
        output:
            cells=report(
                RANK_TABLE,
                caption="../../report/rank_sensitivity.rst",
                category="Tables",
                labels={"table": "rank sensitivity"},
            ),
        log:
            RESULTS / "logs/gather_rank_sensitivity.log",
        benchmark:
            RESULTS / "benchmarks/gather_rank_sensitivity.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        resources:
            mem_mb=tables_mb,
            runtime=tables_minutes,
        params:
            pairs=digest_of(PAIR_RANKS),
            code=code_of("gather_tables.py"),
        script:
            "../../workflow_scripts/gather_tables.py"

    rule draw_rank_sensitivity:
        input:
            cells=RANK_TABLE,
            networks=TABLES["networks"],
        output:
            RANK_FIGURE,
        log:
            RESULTS / "logs/draw_rank_sensitivity.log",
        benchmark:
            RESULTS / "benchmarks/draw_rank_sensitivity.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        resources:
            mem_mb=tables_mb,
            runtime=tables_minutes,
        params:
            measure="rank_sensitivity",
            paper=PAPER,
            caption=caption_of("rank_sensitivity_figure.rst"),
            code=code_of("draw_measure.py", modules=("modelstitch.figures.rank_sensitivity",)),
        script:
            "../../workflow_scripts/draw_measure.py"
