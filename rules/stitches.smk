"""The stitches: one job an ordered pair and objective, or one a block of its receiver layers."""

# One for all three rules, so that cutting a pair's work differently re-runs nothing.
STITCHING_CODE = code_of("stitch_pair.py", "join_layers.py")


if STUDY.jobs.layers_per_job is None:

    rule stitch_pair:
        input:
            dataset=DATASET,
            sender=NETWORKS / "{sender}.safetensors",
            receiver=NETWORKS / "{receiver}.safetensors",
        output:
            record=RECORD,
            stitches=STITCHES if KEEP_STITCHES else temp(STITCHES),
        log:
            RESULTS / "logs/stitch_pair/{objective}/{sender}/{receiver}.log",
        benchmark:
            RESULTS / "benchmarks/stitch_pair/{objective}/{sender}/{receiver}.tsv"
        conda:
            "../envs/modelstitch.yaml"
        threads: STUDY.jobs.threads
        resources:
            mem_mb=memory_of_pair,
            runtime=minutes_of_pair,
            gpu=GPUS,
            device=DEVICE,
        params:
            settings=settings_of,
            sender_layers=sender_layers,
            receiver_layers=receiver_layers,
            study=STUDY.study,
            seed=STUDY.seed,
            code=STITCHING_CODE,
        script:
            "../workflow_scripts/stitch_pair.py"

else:

    rule stitch_layers:
        input:
            dataset=DATASET,
            sender=NETWORKS / "{sender}.safetensors",
            receiver=NETWORKS / "{receiver}.safetensors",
        output:
            record=temp(f"{BLOCK}.h5"),
            stitches=temp(f"{BLOCK}.safetensors"),
        log:
            RESULTS / "logs/stitch_layers/{objective}/{sender}/{receiver}/{block}.log",
        benchmark:
            RESULTS / "benchmarks/stitch_layers/{objective}/{sender}/{receiver}/{block}.tsv"
        wildcard_constraints:
            block=r"\d+-\d+",
        conda:
            "../envs/modelstitch.yaml"
        threads: STUDY.jobs.threads
        resources:
            mem_mb=memory_of_pair,
            runtime=minutes_of_block,
            gpu=GPUS,
            device=DEVICE,
        params:
            settings=settings_of,
            sender_layers=sender_layers,
            receiver_layers=lambda wildcards: blocks_of(wildcards)[wildcards.block],
            study=STUDY.study,
            seed=STUDY.seed,
            code=STITCHING_CODE,
        script:
            "../workflow_scripts/stitch_pair.py"

    # Same output and params as stitch_pair, whose result it gives.
    rule join_layers:
        input:
            dataset=DATASET,
            sender=NETWORKS / "{sender}.safetensors",
            receiver=NETWORKS / "{receiver}.safetensors",
            records=block_files(".h5"),
            stitches=block_files(".safetensors"),
        output:
            record=RECORD,
            stitches=STITCHES if KEEP_STITCHES else temp(STITCHES),
        log:
            RESULTS / "logs/join_layers/{objective}/{sender}/{receiver}.log",
        benchmark:
            RESULTS / "benchmarks/join_layers/{objective}/{sender}/{receiver}.tsv"
        conda:
            "../envs/modelstitch.yaml"
        resources:
            mem_mb=COSTS.joining_mb(),
            runtime=30,
        params:
            settings=settings_of,
            sender_layers=sender_layers,
            receiver_layers=receiver_layers,
            study=STUDY.study,
            seed=STUDY.seed,
            code=STITCHING_CODE,
        script:
            "../workflow_scripts/join_layers.py"
