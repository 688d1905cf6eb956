"""Join the blocks of receiver layers of one ordered pair."""

import job
from safetensors.torch import load_file, save_file

from modelstitch import files, records

job.begin(snakemake)
stitches = {name: tensor for block in snakemake.input.stitches for name, tensor in load_file(block).items()}
with files.replacing(snakemake.output.stitches) as temporary:
    save_file(stitches, temporary)
records.join(snakemake.input.records, snakemake.output.record)
