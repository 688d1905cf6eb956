"""Take a measure of one ordered pair: that of the module that the rule names, from the inputs that it names."""

import job

from modelstitch import hardware
from modelstitch.measures import running

job.begin(snakemake)
running.measure_pair(
    snakemake.params.measure,
    job.load_pair(snakemake),
    dict(snakemake.input.items()),
    dict(snakemake.output.items()),
    settings=snakemake.params.get("settings"),
    study_seed=snakemake.params.get("seed"),
    precision=snakemake.params.precision,
    device=hardware.choose_device(snakemake.resources.device),
)
