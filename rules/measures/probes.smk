"""Linear probes: what can be read from each sender layer without a receiver."""

PROBING = STUDY.measures.probes
# Compared with stitches for the task, where there are some.
PROBING_PRECISION = getattr(STUDY.stitches.task, "precision", "float32")
PROBES = f"{RESULTS}/tables/probes.csv"


if PROBING:
    MEASURED.append(PROBES)

    rule probe_network:
        input:
            unpack(made_of(RESULTS / "measures/probes/{network}.csv", "network")),
        output:
            RESULTS / "measures/probes/{network}.csv",
        log:
            RESULTS / "logs/probe_network/{network}.log",
        benchmark:
            RESULTS / "benchmarks/probe_network/{network}.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        threads: STUDY.jobs.threads
        resources:
            mem_mb=memory(lambda wildcards: requests.probe_mb(PLAN, wildcards.network)),
            runtime=minutes_of_measure("network"),
            gpu=GPUS,
            device=DEVICE,
        params:
            images=PROBING.images,
            seed=STUDY.seed,
            precision=PROBING_PRECISION,
            cuts=cuts_of("network"),
            code=lambda wildcards: code_of_network("probe_network.py", wildcards.network),
        script:
            "../../workflow_scripts/probe_network.py"

    network_probes = of_study(
        lambda: [
            f"{RESULTS}/measures/probes/{sender}.csv" for sender in dict.fromkeys(pair.sender for pair in pairs())
        ]
    )

    rule compare_probes:
        input:
            probes=network_probes,
            cells=TABLES["cells_parquet"],
        output:
            report(
                PROBES,
                caption="../../report/probes.rst",
                category="Tables",
                labels={"table": "probes"},
            ),
        log:
            RESULTS / "logs/compare_probes.log",
        benchmark:
            RESULTS / "benchmarks/compare_probes.tsv"
        conda:
            "../../envs/modelstitch.yaml"
        resources:
            mem_mb=tables_mb,
            runtime=tables_minutes,
        params:
            networks=digest_each(network_probes),
            code=code_of("compare_probes.py"),
        script:
            "../../workflow_scripts/compare_probes.py"
