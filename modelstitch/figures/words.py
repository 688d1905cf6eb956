"""Names of measures for readers: the columns of the tables, in the words of the figures."""

from modelstitch.analysis.agreement import INDICES
from modelstitch.analysis.controls import OVER_REMAPPED

WORDS = {
    **INDICES,
    OVER_REMAPPED: "excess over remapped labels",
    "mahalanobis": "squared Mahalanobis distance",
    "detection": "detection (AUC)",
    "amplification": "amplification of the error",
    "random_amplification": "amplification of a random error",
    "kappa_receiver": "error consistency, receiver (κ)",
    "kappa_sender": "error consistency, sender (κ)",
    "kappa_networks": "error consistency of the networks (κ)",
    "EV": "EV distance",
    "ES": "ES distance",
    "SV": "SV distance",
}
SUFFIXES = {"_calibrated": ", calibrated", "_expected": ", expected", "_over_variance": " ÷ variance"}


def measure_words(column: str) -> str:
    """The name of a measure in figures and in the explorer. `<table>.<column>` gives `<table>: <name>`."""
    table, _, name = column.rpartition(".")
    if table:
        return f"{table.replace('_', ' ')}: {measure_words(name)}"
    if name in WORDS:
        return WORDS[name]
    for suffix, words in SUFFIXES.items():
        if name.endswith(suffix):
            return measure_words(name.removesuffix(suffix)) + words
    return name.replace("_", " ")
