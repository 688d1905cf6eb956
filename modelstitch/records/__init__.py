"""Records, the results of jobs: all cells of an ordered pair and objective in one HDF5 file (docs/results.md)."""

from modelstitch.records.files import join, read, write
from modelstitch.records.layout import IDENTITY, Column, Layers, PairRecord, predictions_dtype

__all__ = ["IDENTITY", "Column", "Layers", "PairRecord", "join", "predictions_dtype", "read", "write"]
