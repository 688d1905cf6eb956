"""The networks: trained from scratch, initial as controls, or with weights from elsewhere; and what is known of them."""


rule train_network:
    input:
        unpack(made_of(NETWORKS / "{network}.safetensors")),
    output:
        NETWORKS / "{network}.safetensors",
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
        mem_mb=memory_of_network,
        runtime=minutes_of_network,
        gpu=GPUS,
        device=DEVICE,
    params:
        checkpoint=str(NETWORKS / "{network}.checkpoint"),
        architecture=part_of_architecture("training"),
        file=lambda wildcards: own_file_of(wildcards.network),
        seed=STUDY.seed,
        code=lambda wildcards: origin_of(wildcards.network),
    script:
        "../workflow_scripts/train_network.py"


rule initialise_network:
    input:
        unpack(made_of(NETWORKS / "{network}.safetensors")),
    output:
        NETWORKS / "{network}.safetensors",
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
        mem_mb=memory_of_network,
        runtime=minutes_of_network,
        gpu=GPUS,
        device=DEVICE,
    params:
        architecture=part_of_architecture(),
        file=lambda wildcards: own_file_of(wildcards.network),
        seed=STUDY.seed,
        code=lambda wildcards: origin_of(wildcards.network),
    script:
        "../workflow_scripts/initialise_network.py"


rule import_network:
    input:
        weights_of,
        unpack(made_of(NETWORKS / "{network}.safetensors")),
    output:
        NETWORKS / "{network}.safetensors",
    log:
        RESULTS / "logs/import_network/{network}.log",
    benchmark:
        RESULTS / "benchmarks/import_network/{network}.tsv"
    wildcard_constraints:
        network=rf"{ARCHITECTURE}_pretrained_s\d+",
    conda:
        "../envs/modelstitch.yaml"
    threads: STUDY.jobs.threads
    resources:
        mem_mb=memory_of_network,
        runtime=minutes_of_network,
        gpu=GPUS,
        device=DEVICE,
    params:
        architecture=part_of_architecture("weights", "classes"),
        file=lambda wildcards: own_file_of(wildcards.network),
        code=lambda wildcards: origin_of(wildcards.network),
    script:
        "../workflow_scripts/import_network.py"


rule describe_network:
    input:
        NETWORKS / "{network}.safetensors",
    output:
        NETWORKS / "{network}.json",
    log:
        RESULTS / "logs/describe_network/{network}.log",
    benchmark:
        RESULTS / "benchmarks/describe_network/{network}.tsv"
    localrule: True
    conda:
        "../envs/modelstitch.yaml"
    resources:
        mem_mb=500,
        runtime=10,
    params:
        code=code_of("describe_network.py"),
    script:
        "../workflow_scripts/describe_network.py"
