"""The folder of a small study as a run leaves it; what is in its files is never looked at."""

from pathlib import Path

from modelstitch.sharing import account
from modelstitch.sharing.account import Account
from modelstitch.sharing.maker import describe_maker

CONFIG = "# by hand\nstudy: few\nseed: 0\n"
FILES = {
    "data/dataset.h5": b"images" * 999,
    "networks/R1111_trained_s0.safetensors": b"weights",
    "stitches/task/R1111_trained_s0/R1111_trained_s0.h5": b"cells",
    "figures/pairs/.snakemake_timestamp": b"",
    "figures/pairs/task/R1111_trained_s0/R1111_trained_s0.png": bytes(range(256)),
    "tables/cells.csv": b"accuracy\n0.5\n" * 99,
    "study/config.yaml": CONFIG.encode(),
    "study/requirements.lock": b"numpy==2.4.6\n",
    "study/CITATION.cff": b"title: modelstitch\n",
}
RECORD = {"input": ["results/few/data/dataset.h5"], "log": [], "starttime": 1_700_000_000.5, "endtime": 1_700_000_060.0}
RULES = {
    "data/dataset.h5": "prepare_dataset",
    "networks/R1111_trained_s0.safetensors": "train_network",
    "stitches/task/R1111_trained_s0/R1111_trained_s0.h5": "stitch_pair",
    "figures/pairs": "draw_pairs",
    "tables/cells.csv": "make_tables",
}


def study(checkout: Path, **files: bytes) -> Path:
    """`results/few` in a checkout, with other files by name."""
    folder = checkout / "results/few"
    for name, content in {**FILES, **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    by = describe_maker({"seed": 0, "code": "0123456789abcdef"}) | {"commit": "a" * 40}
    lines = {name: {"record": RECORD | {"rule": rule}, "by": by} for name, rule in RULES.items()}
    account.write(folder / account.NAME, Account("1", lines))
    return folder
