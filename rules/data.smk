"""The data set: an archive or a folder becomes one HDF5 file."""

# A rule removes its output before it runs, so an archive that is there, perhaps put there by hand, must have none.
if SOURCE["source"] in ("cifar10", "cifar100") and not sources.cifar.archive_path(SOURCE).exists():

    rule download:
        output:
            sources.cifar.archive_path(SOURCE),
        log:
            RESULTS / "logs/download.log",
        benchmark:
            RESULTS / "benchmarks/download.tsv"
        localrule: True
        conda:
            "../envs/modelstitch.yaml"
        resources:
            mem_mb=500,
            runtime=120,
        params:
            settings=SOURCE,
        script:
            "../workflow_scripts/download.py"


rule prepare_dataset:
    input:
        sources.input_files(SOURCE),
    output:
        DATASET,
    log:
        RESULTS / "logs/prepare_dataset.log",
    benchmark:
        RESULTS / "benchmarks/prepare_dataset.tsv"
    conda:
        "../envs/modelstitch.yaml"
    resources:
        mem_mb=requests.dataset_mb(PLAN),
        runtime=60,
    params:
        settings=SOURCE,
        files=sources.fingerprint(SOURCE),
        code=code_of("prepare_dataset.py"),
    script:
        "../workflow_scripts/prepare_dataset.py"
