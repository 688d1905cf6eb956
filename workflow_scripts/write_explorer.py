"""Write the page that shows the study."""

import job

from modelstitch import explorer

job.begin(snakemake)
inputs, params = snakemake.input, snakemake.params
explorer.write(
    snakemake.output.page,
    params.study,
    inputs.tables,
    inputs.records,
    inputs.dataset,
    params.colormap,
    params.seed,
)
job.log.info(f"open in a browser: {snakemake.output.page}")
