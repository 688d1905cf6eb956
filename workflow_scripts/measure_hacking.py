"""Measure whether the stitches of one ordered pair preserve the expected representations, or hack the receiver."""

import job
from safetensors.torch import load_file

from modelstitch import hardware, records
from modelstitch.analysis import tables
from modelstitch.config import Hacking
from modelstitch.data import datasets
from modelstitch.measures import hacking
from modelstitch.networks import small_resnet

job.begin(snakemake)
cells, suffixes = hacking.measure_pair(
    small_resnet.load(snakemake.input.sender),
    small_resnet.load(snakemake.input.receiver),
    datasets.read(snakemake.input.dataset),
    records.read_pair(snakemake.input.record),
    load_file(snakemake.input.stitches),
    Hacking.model_validate(snakemake.params.settings),
    snakemake.params.seed,
    hardware.choose_device(snakemake.resources.device),
    snakemake.params.precision,
)
tables.write_csv(cells, snakemake.output.cells)
tables.write_csv(suffixes, snakemake.output.suffixes)
