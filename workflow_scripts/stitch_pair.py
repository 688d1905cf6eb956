"""Train stitches of one ordered pair, all of them or those of a block of receiver layers, and write their record."""

import job
from safetensors.torch import save_file

from modelstitch import files, hardware, records
from modelstitch.config import objective_settings
from modelstitch.data import datasets
from modelstitch.fitting import pairs
from modelstitch.networks import small_resnet

job.begin(snakemake)
columns, stitches, attributes = pairs.train_pair(
    small_resnet.load(snakemake.input.sender),
    small_resnet.load(snakemake.input.receiver),
    datasets.read(snakemake.input.dataset),
    objective_settings(snakemake.wildcards.objective, snakemake.params.settings),
    objective=snakemake.wildcards.objective,
    study_seed=snakemake.params.seed,
    sender_layers=snakemake.params.sender_layers,
    receiver_layers=snakemake.params.receiver_layers,
    device=hardware.choose_device(snakemake.resources.device),
)
with files.replacing(snakemake.output.stitches) as temporary:
    save_file(stitches, temporary)
records.write_pair(snakemake.output.record, columns, attributes | {"study": snakemake.params.study})
