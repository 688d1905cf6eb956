"""The stitches: one job an ordered pair and objective, or one a block of its receiver layers."""

OBJECTIVES = STUDY.objectives()
PAIRS = STUDY.ordered_pairs()
RECORD = RESULTS / "stitches/{objective}/{sender}/{receiver}.h5"
STITCHES = RESULTS / "stitches/{objective}/{sender}/{receiver}.safetensors"
BLOCK = RESULTS / "stitches/{objective}/{sender}/{receiver}.blocks/{block}"
RECORDS = [
    str(RECORD).format(objective=objective, sender=pair.sender, receiver=pair.receiver)
    for objective in OBJECTIVES
    for pair in PAIRS
]
# One for all three rules, so that cutting a pair's work differently re-runs nothing.
STITCHING_CODE = code_of("stitch_pair.py", "stitch_layers.py", "join_layers.py")
KEEP_STITCHES = any(settings.keep_stitches for _, settings in STUDY.stitches)
KEPT_STITCHES = [str(Path(record).with_suffix(".safetensors")) for record in RECORDS if KEEP_STITCHES]


def settings_of(wildcards):
    """What the stitches depend on; whether they are kept is not part of it."""
    settings = getattr(STUDY.stitches, wildcards.objective)
    return settings.model_copy(update={"keep_stitches": False}).model_dump(mode="json")


def sender_layers(wildcards):
    return STUDY.sender_layers(wildcards.objective, NetworkId.parse(wildcards.sender))


def receiver_layers(wildcards):
    return STUDY.receiver_layers(wildcards.objective, NetworkId.parse(wildcards.receiver))


def blocks_of(wildcards):
    """Receiver layers of each job of a pair, by the block's name: `{"0-2": [0, 1, 2], "3-4": [3, 4]}`."""
    layers, size = receiver_layers(wildcards), STUDY.jobs.layers_per_job
    blocks = [layers[start : start + size] for start in range(0, len(layers), size)]
    return {f"{block[0]}-{block[-1]}": block for block in blocks}


def block_files(suffix):
    return lambda wildcards: [
        f"{BLOCK}{suffix}".format(block=block, **wildcards) for block in blocks_of(wildcards)
    ]


def memory_of_pair(wildcards, attempt):
    return COSTS.pair_mb(wildcards.sender) * attempt


def minutes_of_pair(wildcards, attempt):
    layers = (sender_layers(wildcards), receiver_layers(wildcards))
    return COSTS.pair_minutes(wildcards.sender, wildcards.receiver, *layers) * attempt


def minutes_of_block(wildcards, attempt):
    layers = (sender_layers(wildcards), blocks_of(wildcards)[wildcards.block])
    return COSTS.pair_minutes(wildcards.sender, wildcards.receiver, *layers) * attempt


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
        conda:
            "../envs/modelstitch.yaml"
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
        wildcard_constraints:
            block=r"\d+-\d+",
        log:
            RESULTS / "logs/stitch_layers/{objective}/{sender}/{receiver}/{block}.log",
        benchmark:
            RESULTS / "benchmarks/stitch_layers/{objective}/{sender}/{receiver}/{block}.tsv"
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
        conda:
            "../envs/modelstitch.yaml"
        script:
            "../workflow_scripts/stitch_layers.py"

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
        conda:
            "../envs/modelstitch.yaml"
        script:
            "../workflow_scripts/join_layers.py"
