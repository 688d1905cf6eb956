"""Stitch every sender layer of one pair at falling ranks, and probe it."""

import job

from modelstitch import hardware
from modelstitch.analysis import tables
from modelstitch.config.stitches import objective_settings
from modelstitch.data import datasets
from modelstitch.measures import rank_sensitivity

job.begin(snakemake)
measured = rank_sensitivity.measure(
    *job.load_pair(snakemake),
    datasets.read(snakemake.input.dataset),
    snakemake.params.images,
    objective_settings("task", snakemake.params.training),
    snakemake.params.seed,
    device=hardware.choose_device(snakemake.resources.device),
)
tables.write_csv(measured, snakemake.output[0])
