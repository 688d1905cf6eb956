"""Train the stitches of one ordered pair for some epochs from one start, and write their record."""

import job

from modelstitch import hardware, records
from modelstitch.config import objective_settings
from modelstitch.data import datasets
from modelstitch.fitting import pairs
from modelstitch.networks import small_resnet

job.begin(snakemake)
columns, _, attributes = pairs.train_pair(
    small_resnet.load(snakemake.input.sender),
    small_resnet.load(snakemake.input.receiver),
    datasets.read(snakemake.input.dataset),
    objective_settings("task", snakemake.params.settings),
    study_seed=snakemake.params.seed,
    sender_layers=snakemake.params.sender_layers,
    receiver_layers=snakemake.params.receiver_layers,
    start=snakemake.wildcards.start,
    device=hardware.choose_device(snakemake.resources.device),
)
attributes |= {"study": snakemake.params.study, "start": snakemake.wildcards.start}
records.write_pair(snakemake.output[0], columns, attributes)
