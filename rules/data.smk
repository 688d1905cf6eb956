"""The data set: published files or a folder of images become one HDF5 file."""

# A rule removes its output before it runs, so a file that is there, perhaps put there by hand, must have none.
ABSENT = [file for file in sources.published_files(SOURCE) if not file.exists()]

if ABSENT:

    rule download:
        output:
            ABSENT[0].parent / "{file}",
        log:
            RESULTS / "logs/download/{file}.log",
        benchmark:
            RESULTS / "benchmarks/download/{file}.tsv"
        wildcard_constraints:
            file="|".join(re.escape(file.name) for file in ABSENT),
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
        files_of_images(),
    output:
        DATASET,
    log:
        RESULTS / "logs/prepare_dataset.log",
    benchmark:
        RESULTS / "benchmarks/prepare_dataset.tsv"
    conda:
        "../envs/modelstitch.yaml"
    resources:
        mem_mb=memory(lambda wildcards: requests.dataset_mb(PLAN)),
        runtime=minutes(lambda wildcards: requests.dataset_minutes(PLAN)),
    params:
        settings=SOURCE,
        code=origin_of_images(),
    script:
        "../workflow_scripts/prepare_dataset.py"
