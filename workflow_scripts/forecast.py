"""Print what the study will take, measured on this machine."""

import job

from modelstitch.config import Study
from modelstitch.planning.forecast import forecast

job.begin(snakemake)
print(forecast(Study.model_validate(snakemake.params.study), **snakemake.params.circumstances))
