"""Print what the study will take, measured on this machine."""

import job

from modelstitch.config.study import Study
from modelstitch.data.datasets import Sizes
from modelstitch.networks.description import Description
from modelstitch.planning.forecast import forecast
from modelstitch.planning.jobs import write_jobs
from modelstitch.planning.study import PlannedStudy

job.begin(snakemake)
params = snakemake.params
image, *counts = params.sizes
descriptions = {name: Description.from_json(values) for name, values in params.descriptions.items()}
plan = PlannedStudy(Study.model_validate(params.study), Sizes(tuple(image), *counts), descriptions)
told, stages = forecast(plan, **params.circumstances)
write_jobs(stages, snakemake.log.jobs)
print(told, f"Each job by itself: {snakemake.log.jobs}", sep="\n")
