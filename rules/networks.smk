"""The networks: trained from scratch, with their initial weights as controls, or with weights from elsewhere."""


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
        mem_mb=memory_of_network,
        runtime=minutes_of_network,
        gpu=GPUS,
        device=DEVICE,
    params:
        checkpoint=str(NETWORKS / "{network}.checkpoint"),
        architecture=part_of_architecture("training"),
        file=lambda wildcards: own_file_of(wildcards.network),
        seed=STUDY.seed,
        code=lambda wildcards: code_of_network("train_network.py", wildcards.network),
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
        mem_mb=memory_of_network,
        runtime=minutes_of_network,
        gpu=GPUS,
        device=DEVICE,
    params:
        architecture=part_of_architecture(),
        file=lambda wildcards: own_file_of(wildcards.network),
        seed=STUDY.seed,
        code=lambda wildcards: code_of_network("initialise_network.py", wildcards.network),
    script:
        "../workflow_scripts/initialise_network.py"


rule import_network:
    input:
        weights_of,
        dataset=DATASET,
    output:
        weights=NETWORKS / "{network}.safetensors",
        about=NETWORKS / "{network}.json",
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
        code=lambda wildcards: code_of_network("import_network.py", wildcards.network),
    script:
        "../workflow_scripts/import_network.py"
