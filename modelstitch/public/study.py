"""Open the results of a study from its folder."""

from functools import cached_property
from pathlib import Path

import pandas as pd

from modelstitch.analysis import tables
from modelstitch.analysis.evidence import check_place
from modelstitch.errors import ModelstitchError
from modelstitch.networks.network import Network
from modelstitch.public.result import Result, read


class StudyResults:
    """The results of a study, in the folder `results/<study>`.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row per cell."""
        return self.table("cells.parquet")

    @cached_property
    def networks(self) -> pd.DataFrame:
        """One row per network."""
        return self.table("networks.csv")

    @cached_property
    def triangle(self) -> pd.DataFrame:
        """The triangle of every pair, and of all pairs of each combination of two recipes."""
        return self.table("triangle.csv")

    def table(self, name: str) -> pd.DataFrame:
        """A table of the study, by the name of its file in `tables/`: "uncertainty.csv".

        Raises:
            ModelstitchError: if there is no such table; the message lists those that exist.
        """
        path = self.path / "tables" / name
        if not path.exists():
            there = sorted(file.name for file in path.parent.glob("*.*")) if path.parent.is_dir() else []
            raise ModelstitchError(
                f"{path}: no such table: {'there are ' + ', '.join(there) if there else 'run the study'}"
            )
        return tables.read(path)

    def pair(self, sender: str, receiver: str, objective: str = "task") -> Result:
        """The result of an ordered pair, by the ids of the two networks: "R1111_trained_s0".

        Raises:
            ModelstitchError: if the study has not stitched this pair, or the file holds another pair.
        """
        path = self.path / "stitches" / objective / sender / f"{receiver}.h5"
        result = read(path)
        check_place(path, result.record)
        return result

    def network(self, network: str) -> Network:
        """A network of the study, by its id.

        Raises:
            ModelstitchError: if the study has not made it.
        """
        return Network.load(self.path / "networks" / f"{network}.safetensors")

    def __repr__(self) -> str:
        return f"study {self.path.name}: {len(self.networks)} networks, {len(self.cells):,} cells ({self.path})"


def open_study(path: Path | str) -> StudyResults:
    """Open the results of a study.

    Args:
        path: the study's folder, `results/photo-digits`.

    Raises:
        ModelstitchError: if there is no such folder.
    """
    if not Path(path).is_dir():
        raise ModelstitchError(f"{path}: no such folder: expected results/<study>, which a run of the study makes")
    return StudyResults(Path(path))
