"""An order of networks in which similar ones are neighbours."""

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering


def clustered(means: pd.DataFrame) -> list[str]:
    """Names of a table's rows, ordered by clustering: average linkage with optimal leaf order.

    Args:
        means: rows are networks, columns the networks that they are paired with. NaN, where there is no pair, counts as
            the mean of the row.
    """
    names = list(means.index)
    if len(names) < 3:
        return names
    values = means.to_numpy(float)
    own = np.nan_to_num(np.nanmean(values, axis=1, where=~np.isnan(values).all(axis=1, keepdims=True)))
    values = np.where(np.isnan(values), own[:, None], values)
    tree = optimal_leaf_ordering(linkage(values, "average"), values)
    return [names[place] for place in leaves_list(tree)]


def of_objective(cells: pd.DataFrame) -> dict[str, list[str]]:
    """Senders and receivers of one objective, each clustered by the mean accuracies of their pairs."""
    means = cells.pivot_table(index="sender", columns="receiver", values="accuracy", aggfunc="mean", dropna=False)
    return {"senders": clustered(means), "receivers": clustered(means.T)}
