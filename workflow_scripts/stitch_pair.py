"""Train stitches of one ordered pair, all of them or those of a block of receiver layers, and write their record."""

import job

from modelstitch import hardware, records
from modelstitch.config.stitches import objective_settings
from modelstitch.data import datasets
from modelstitch.fitting.pair import train_pair
from modelstitch.stitches import files

job.begin(snakemake)
params = snakemake.params
settings = objective_settings(params.objective, params.settings)
result = train_pair(
    *job.load_pair(snakemake),
    datasets.read(snakemake.input.dataset),
    settings,
    objective=params.objective,
    study=params.study,
    study_seed=params.seed,
    sender_layers=params.sender_layers,
    receiver_layers=params.receiver_layers,
    device=hardware.choose_device(snakemake.resources.device),
)
files.write(snakemake.output.stitches, result.stitches, settings.family.name, result.record.attributes)
records.write(snakemake.output.record, result.record)
