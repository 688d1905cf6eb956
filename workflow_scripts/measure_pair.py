"""Take a measure of one ordered pair: that of the module that the rule names, from the inputs that it names."""

import importlib

import job

from modelstitch import hardware, records
from modelstitch.analysis import tables
from modelstitch.config.measures import section_of
from modelstitch.config.section import read
from modelstitch.data import datasets
from modelstitch.stitches import files

READ = {".h5": records.read, ".safetensors": files.read}

job.begin(snakemake)
params = dict(snakemake.params.items())
given = {
    name: READ[f".{path.rpartition('.')[2]}"](path)
    for name, path in snakemake.input.items()
    if name not in ("dataset", "sender", "receiver")
}
if "settings" in params:
    given["settings"] = read(section_of(params["measure"]), params["settings"])
if "seed" in params:
    given["study_seed"] = params["seed"]
measured = importlib.import_module(f"modelstitch.measures.{params['measure']}").measure_pair(
    *job.load_pair(snakemake),
    datasets.read(snakemake.input.dataset),
    **given,
    precision=params["precision"],
    device=hardware.choose_device(snakemake.resources.device),
)
for name, table in (measured._asdict() if isinstance(measured, tuple) else {"cells": measured}).items():
    tables.write_csv(table, snakemake.output[name])
