"""What the study will take, told before it is run: `snakemake forecast --cores all`."""

from snakemake.io import apply_wildcards

# Included last, this file sees all rules: those without wildcards have one job, some have one for each objective whose
# files a study wants.
ONE_JOB_RULES = [rule for rule in workflow.rules if not (rule.norun or rule.has_wildcards())]
OBJECTIVE_RULES = [rule for rule in workflow.rules if set(rule.wildcard_names) == {"objective"}]
WANTED = {str(file) for file in [*MEASURED, *FIGURES] if not callable(file)}
CORES, NODES = workflow.resource_settings.cores, workflow.resource_settings.nodes
JOBS_AT_ONCE = max(1, (CORES or 1) // STUDY.jobs.threads) if LOCAL else NODES or 1


rule forecast:
    log:
        RESULTS / "logs/forecast.log",
        jobs=RESULTS / "logs/forecast.csv",  # no output: what is forecast is never up to date
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
        circumstances=lambda wildcards: dict(
            known=SIZES_ARE_KNOWN,
            at_once=JOBS_AT_ONCE,
            dataset_rules=["prepare_dataset"],  # a download is not counted
            drawn={rule.name: drawn_by(rule) for rule in ONE_JOB_RULES if not rule.name.endswith("prepare_dataset")}
            | {
                f"{rule.name}/{objective}": drawn_by(rule)
                for rule in OBJECTIVE_RULES
                for objective in OBJECTIVES
                if apply_wildcards(rule.output[0], {"objective": objective}) in WANTED
            },
            # A cluster's login node belongs to all.
            processes=JOBS_AT_ONCE if LOCAL else 1,
        ),
    script:
        "../workflow_scripts/forecast.py"
