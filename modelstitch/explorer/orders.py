"""Networks in an order that puts those that behave the same beside each other."""

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering


def clustered(means: pd.DataFrame) -> list[str]:
    """The rows of a table in the order of their clusters: average linkage, with the best order of its leaves.

    Args:
        means: a number for each row (network) and column (network that it is paired with); NaN where there is no pair,
            which counts as the mean of the row's others.
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
    """Senders and receivers of the cells of one objective, clustered by their pairs' mean accuracies."""
    means = cells.pivot_table(index="sender", columns="receiver", values="accuracy", aggfunc="mean", dropna=False)
    return {"senders": clustered(means), "receivers": clustered(means.T)}
