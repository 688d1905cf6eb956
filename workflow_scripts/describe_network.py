"""Write what the file of a network says of it as readable JSON."""

import job

from modelstitch.networks import about

job.begin(snakemake)
about.write_json(snakemake.input[0], snakemake.output[0])
