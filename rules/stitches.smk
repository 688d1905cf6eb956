"""The stitches: one job per ordered pair and objective, or one per block of its receiver layers."""

if STUDY.jobs.layers_per_job is None:

    rule stitch_pair:
        input:
            unpack(made_of(RECORD, "sender", "receiver")),
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
            mem_mb=memory_of(cells_of_pair),
            runtime=minutes_of(cells_of_pair),
            gpu=GPUS,
            device=DEVICE,
        params:
            objective="{objective}",
            settings=settings_of,
            sender_cuts=cuts_of("sender"),
            receiver_cuts=cuts_of("receiver"),
            sender_layers=sender_layers,
            receiver_layers=receiver_layers,
            study=STUDY.study,
            seed=STUDY.seed,
            code=stitching_code,
        script:
            "../workflow_scripts/stitch_pair.py"

else:

    rule stitch_layers:
        input:
            unpack(made_of(RECORD, "sender", "receiver")),
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
            mem_mb=memory_of(cells_of_block),
            runtime=minutes_of(cells_of_block),
            gpu=GPUS,
            device=DEVICE,
        params:
            objective="{objective}",
            settings=settings_of,
            sender_cuts=cuts_of("sender"),
            receiver_cuts=cuts_of("receiver"),
            sender_layers=sender_layers,
            receiver_layers=lambda wildcards: blocks_of(wildcards)[wildcards.block],
            study=STUDY.study,
            seed=STUDY.seed,
            code=stitching_code,
        script:
            "../workflow_scripts/stitch_pair.py"

    # Same output and params as stitch_pair, whose result it gives.
    rule join_layers:
        input:
            unpack(made_of(RECORD, "sender", "receiver")),
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
            mem_mb=memory_of_joining,
            runtime=30,
        params:
            objective="{objective}",
            settings=settings_of,
            sender_cuts=cuts_of("sender"),
            receiver_cuts=cuts_of("receiver"),
            sender_layers=sender_layers,
            receiver_layers=receiver_layers,
            study=STUDY.study,
            seed=STUDY.seed,
            code=stitching_code,
        script:
            "../workflow_scripts/join_layers.py"
