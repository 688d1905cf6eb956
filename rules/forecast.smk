"""What the study will take, told before it is run: `snakemake forecast --cores all`."""

DATASET_RULES = ("download", "prepare_dataset")
# Rules of one job each; included last, this file sees them all.
ONE_JOB_RULES = [rule.name for rule in workflow.rules if not (rule.norun or rule.has_wildcards())]
OBJECTIVE_RULES = [rule.name for rule in workflow.rules if set(rule.wildcard_names) == {"objective"}]
CORES, NODES = workflow.resource_settings.cores, workflow.resource_settings.nodes
JOBS_AT_ONCE = max(1, (CORES or 1) // STUDY.jobs.threads) if LOCAL else NODES or 1


rule forecast:
    log:
        RESULTS / "logs/forecast.log",
    localrule: True
    conda:
        "../envs/modelstitch.yaml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        study=STUDY.model_dump(mode="json"),
        sizes=list(PLAN.sizes),
        descriptions={name: description.as_json() for name, description in PLAN.descriptions.items()},
        circumstances=dict(
            known=SIZES_ARE_KNOWN,
            at_once=JOBS_AT_ONCE,
            dataset_jobs=len([name for name in ONE_JOB_RULES if name in DATASET_RULES]),
            table_jobs=len([name for name in ONE_JOB_RULES if name not in DATASET_RULES])
            + len(OBJECTIVE_RULES) * len(OBJECTIVES),
            # A cluster's login node belongs to all.
            processes=JOBS_AT_ONCE if LOCAL else 1,
        ),
    script:
        "../workflow_scripts/forecast.py"
