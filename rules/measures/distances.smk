"""How far stitched representations are from the expected one: of the stitches of both objectives."""

DISTANCES = [RESULTS / f"tables/{name}.csv" for name in ("distances", "distance_summary")]
HAS_DISTANCES = "similarity" in OBJECTIVES and any(
    STUDY.stitches_pair("task", *pair) for pair in STUDY.ordered_pairs("similarity")
)


if HAS_DISTANCES:
    MEASURED += DISTANCES

    rule measure_distances:
        input:
            unpack(made_of(RESULTS / "measures/distances/{sender}/{receiver}.csv", "sender", "receiver")),
            vanilla=str(STITCHES).replace("{objective}", "task"),
            similar=str(STITCHES).replace("{objective}", "similarity"),
        output:
            cells=RESULTS / "measures/distances/{sender}/{receiver}.csv",
        log:
            RESULTS / "logs/measure_distances/{sender}/{receiver}.log",
        benchmark:
            RESULTS / "benchmarks/measure_distances/{sender}/{receiver}.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        threads: STUDY.jobs.threads
        resources:
            mem_mb=memory_of(cells_of_task),
            runtime=minutes_of_measure("sender", "receiver"),
            gpu=GPUS,
            device=DEVICE,
        params:
            measure="distances",
            precision=STUDY.stitches.task.precision,
            sender_cuts=cuts_of("sender"),
            receiver_cuts=cuts_of("receiver"),
            code=lambda wildcards: code_of_pair(
                "measure_pair.py",
                wildcards=wildcards,
                objectives=("task", "similarity"),
                modules=("modelstitch.measures.distances",),
            ),
        script:
            "../../workflow_scripts/measure_pair.py"

    pair_distances = of_study(
        lambda: [
            f"{RESULTS}/measures/distances/{sender}/{receiver}.csv"
            for objective, (sender, receiver) in stitched()
            if objective == "similarity" and is_stitched("task", sender, receiver)
        ]
    )

    rule summarise_distances:
        input:
            pair_distances,
        output:
            distances=report(
                RESULTS / "tables/distances.csv",
                caption="../../report/distances.rst",
                category="Tables",
                labels={"table": "distances"},
            ),
            summary=report(
                RESULTS / "tables/distance_summary.csv",
                caption="../../report/distance_summary.rst",
                category="Tables",
                labels={"table": "distances: summary"},
            ),
        log:
            RESULTS / "logs/summarise_distances.log",
        benchmark:
            RESULTS / "benchmarks/summarise_distances.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        resources:
            mem_mb=tables_mb,
            runtime=tables_minutes,
        params:
            pairs=digest_each(pair_distances),
            numbers=digest_of([(CHECKOUT / "modelstitch/analysis/published/squared_errors.csv").read_text()]),
            code=code_of("summarise_distances.py"),
        script:
            "../../workflow_scripts/summarise_distances.py"
