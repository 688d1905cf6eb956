"""The networks: trained from scratch, or with their initial weights as controls."""


rule train_network:
    input:
        dataset=DATASET,
    output:
        weights=NETWORKS / "{network}.safetensors",
        about=NETWORKS / "{network}.json",
    log:
        RESULTS / "logs/train_network/{network}.log",
    benchmark:
        RESULTS / "benchmarks/train_network/{network}.tsv"
    wildcard_constraints:
        network=rf"{ARCHITECTURE}_trained_s\d+",
    conda:
        "../envs/modelstitch.yaml"
    threads: STUDY.jobs.threads
    resources:
        mem_mb=times_attempt(COSTS.network_mb()),
        runtime=times_attempt(COSTS.network_minutes()),
        gpu=GPUS,
        device=DEVICE,
    params:
        checkpoint=str(NETWORKS / "{network}.checkpoint"),
        training=STUDY.networks.training.model_dump(mode="json"),
        width=STUDY.networks.width,
        seed=STUDY.seed,
        code=code_of("train_network.py"),
    script:
        "../workflow_scripts/train_network.py"


rule initialise_network:
    input:
        dataset=DATASET,
    output:
        weights=NETWORKS / "{network}.safetensors",
        about=NETWORKS / "{network}.json",
    log:
        RESULTS / "logs/initialise_network/{network}.log",
    benchmark:
        RESULTS / "benchmarks/initialise_network/{network}.tsv"
    wildcard_constraints:
        network=rf"{ARCHITECTURE}_(random|calibrated)_s\d+",
    conda:
        "../envs/modelstitch.yaml"
    threads: STUDY.jobs.threads
    resources:
        mem_mb=times_attempt(COSTS.network_mb()),
        runtime=times_attempt(30),
        gpu=GPUS,
        device=DEVICE,
    params:
        width=STUDY.networks.width,
        seed=STUDY.seed,
        code=code_of("initialise_network.py"),
    script:
        "../workflow_scripts/initialise_network.py"
