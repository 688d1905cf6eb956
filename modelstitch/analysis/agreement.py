"""Where statistical and functional similarity agree: indices of two layers against the accuracy of their stitch."""

import pandas as pd

from modelstitch.analysis.controls import OVER_REMAPPED
from modelstitch.analysis.depth import THIRDS
from modelstitch.analysis.matrices import rank_correlation

INDICES = {
    "linear_cka": "debiased linear CKA",
    "rbf_cka": "debiased RBF CKA",
    "rsa": "RSA",
    "mutual_knn": "mutual k nearest neighbours",
    "svcca": "SVCCA",
    "pwcca": "PWCCA",
    "procrustes": "orthogonal Procrustes",
}
PAIR = ["sender", "receiver"]
CELL = [*PAIR, "sender_layer", "sender_layer_name", "receiver_layer", "receiver_layer_name"]
GROUP = ["objective", "sender_recipe", "receiver_recipe"]
MOST = 10  # cells that disagree most
AGREEMENT = (
    *GROUP,
    "measure",
    "calibrated",
    "pairs",
    "cells",
    "spearman",
    "spearman_within_pairs",
    "spearman_excess_over_remapped",
    *(f"spearman_{third}" for third in THIRDS),
)
RANKS = ("similarity_rank", "accuracy_rank", "rank_difference")
DISAGREEMENT = (*GROUP, "measure", *CELL, "receiver_depth", "similarity", "accuracy", OVER_REMAPPED, *RANKS)


def calibrated_column(index: str) -> str:
    """The column that holds an index after calibration."""
    return f"{index}_calibrated"


def joined(similarities: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """The cells that have an accuracy, joined with the indices of their layers.

    Args:
        similarities: what `measures.statistical_similarity` returns, one row per cell.
        cells: the cells table; without a column `excess_over_remapped` this becomes NaN.
    """
    columns = [*CELL, *INDICES, *map(calibrated_column, INDICES)]
    kept = [*GROUP, *CELL, "receiver_depth", "accuracy", OVER_REMAPPED]
    table = cells.reindex(columns=kept).merge(similarities[columns], on=CELL)
    return table[table.accuracy.notna()]


def agreement(similarities: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation of each index, plain and calibrated, with the accuracy of the cells.

    Args:
        similarities, cells: as `joined` takes them.

    Returns:
        `AGREEMENT`, one row for each objective, two recipes and index, plain or calibrated. `spearman` is over all
        their cells; `spearman_within_pairs` the mean of the correlations within each ordered pair;
        `spearman_excess_over_remapped` has that column instead of accuracy; the others are over the cells in one third
        of the receiver's depth.
    """
    rows = []
    for group, chosen in joined(similarities, cells).groupby(GROUP, sort=False):
        for index in INDICES:
            for column in (index, calibrated_column(index)):
                pairs = [correlation(pair, column) for _, pair in chosen.groupby(PAIR, sort=False)]
                row = dict(zip(GROUP, group, strict=True)) | {
                    "measure": index,
                    "calibrated": column != index,
                    "pairs": len(pairs),
                    "cells": int(chosen[column].notna().sum()),
                    "spearman": correlation(chosen, column),
                    "spearman_within_pairs": pd.Series(pairs).mean(),
                    "spearman_excess_over_remapped": correlation(chosen, column, OVER_REMAPPED),
                }
                for third, (start, end) in THIRDS.items():
                    inside = (chosen.receiver_depth >= start) & (chosen.receiver_depth < end)
                    row[f"spearman_{third}"] = correlation(chosen[inside], column)
                rows.append(row)
    return pd.DataFrame(rows, columns=list(AGREEMENT))


def correlation(table: pd.DataFrame, column: str, outcome: str = "accuracy") -> float:
    """Spearman's correlation over the rows that have both values; NaN if either is constant."""
    both = table[[column, outcome]].dropna()
    return rank_correlation(both[column], both[outcome])


def disagreement(similarities: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """The `MOST` cells of each objective, two recipes and index whose calibrated index and accuracy disagree most.

    Args:
        similarities, cells: as `joined` takes them.

    Returns:
        `DISAGREEMENT`, the largest difference first. Ranks are shares of the cells, 1 for the highest.
        `rank_difference` is the index's rank less the accuracy's: above 0 the layers are similar, but the stitch is
        poor.
    """
    groups = joined(similarities, cells).groupby(GROUP, sort=False)
    tables = [most_different(chosen, index) for _, chosen in groups for index in INDICES]
    return pd.DataFrame([row for table in tables for row in table.to_dict("records")], columns=list(DISAGREEMENT))


def most_different(table: pd.DataFrame, index: str) -> pd.DataFrame:
    """The `MOST` cells of a joined table whose ranks by an index and by accuracy differ most, as `DISAGREEMENT`."""
    known = table.assign(measure=index, similarity=table[calibrated_column(index)]).dropna(subset="similarity")
    own, functional = (known[column].rank(pct=True) for column in ("similarity", "accuracy"))
    ranked = known.assign(**dict(zip(RANKS, (own, functional, own - functional), strict=True)))
    return ranked.sort_values("rank_difference", key=lambda column: -column.abs(), kind="stable")[:MOST]
