"""Indices of statistical similarity between two layers' representations of the same images.

A representation is a matrix of features (N, D), one row per image; the two may differ in D. Each index is 1 for a
representation and itself, scaled or rotated. Four compare how images relate to each other, by a matrix (N, N) of norm 1
for each representation; three compare the directions of features, by their spectra.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import pdist, squareform
from scipy.stats import rankdata
from sklearn.neighbors import NearestNeighbors

from modelstitch.analysis.agreement import INDICES

BANDWIDTH = 0.4  # of the RBF kernel, over the median distance: one of the three of arXiv 1905.00414
EXPLAINED = 0.99  # share of the variance that SVCCA keeps (arXiv 1706.05806)
LEVEL = 0.95  # of the null that a calibrated index has to pass (arXiv 2602.14486)


class Spectrum(NamedTuple):
    """Singular value decomposition of centred features, without directions that are below float32's rounding.

    Attributes:
        basis: left singular vectors (N, R).
        values: singular values (R,), descending, over their norm.
        axes: right singular vectors, one per row (R, D).
    """

    basis: np.ndarray
    values: np.ndarray
    axes: np.ndarray


def similarities(
    sent: Sequence[np.ndarray], received: Sequence[np.ndarray], orders: np.ndarray, neighbours: int
) -> dict[str, np.ndarray]:
    """Every index of each sender layer with each receiver layer, for several orders of the receiver's images.

    Args:
        sent, received: features (N, D) of each layer, float64.
        orders: indices of images (P, N); each order holds for all layers.
        neighbours: k of mutual k nearest neighbours, below N.

    Returns:
        (P, sender layers, receiver layers) by the names of `INDICES`; NaN where a layer is not finite or gives the
        same for all images.
    """
    found = {name: np.full((len(orders), len(sent), len(received)), np.nan) for name in INDICES}
    rows, columns = ([layer for layer, one in enumerate(features) if varies(one)] for features in (sent, received))
    if not rows:
        return found
    matrices = {
        "linear_cka": linear_kernel,
        "rbf_cka": rbf_kernel,
        "rsa": ranked_dissimilarities,
        "mutual_knn": partial(neighbour_graph, neighbours=neighbours),
    }
    for name, matrix in matrices.items():
        left = np.stack([matrix(sent[i]).ravel() for i in rows])
        for j in columns:
            right = matrix(received[j])
            for place, order in enumerate(orders):
                found[name][place, rows, j] = left @ right.take(order, 0).take(order, 1).ravel()
    spectra = {i: spectrum(sent[i]) for i in rows}
    for j in columns:
        right = spectrum(received[j])
        for place, order in enumerate(orders):
            basis = right.basis[order]
            for i, left in spectra.items():
                cross = left.basis.T @ basis
                for index in (svcca, pwcca, procrustes):
                    found[index.__name__][place, i, j] = index(left, right, cross)
    return found


def null_point(similarities: np.ndarray) -> np.ndarray:
    """The value that an index reaches by chance: its quantile `LEVEL` over orders of the images, from (P, ...)."""
    return np.quantile(similarities, LEVEL, axis=0)


def calibrated(similarity: np.ndarray, null: np.ndarray) -> np.ndarray:
    """A similarity rescaled from chance to 1: 0 at or below the null's point, 1 for equal representations.

    Plain indices grow with the number of features even where nothing is shared (arXiv 2602.14486).
    """
    return np.maximum(np.minimum(similarity, 1) - null, 0) / np.maximum(1 - null, np.finfo(np.float64).eps)


def varies(features: np.ndarray) -> bool:
    """Whether features (N, D) are finite and not the same for all images."""
    return bool(np.isfinite(features).all() and np.ptp(features, axis=0).any())


def linear_kernel(features: np.ndarray) -> np.ndarray:
    """Products of images' features (N, D), U-centred."""
    centred = features - features.mean(axis=0)
    return unit(u_centred(centred @ centred.T))


def rbf_kernel(features: np.ndarray) -> np.ndarray:
    """Gaussian of the distance between images' features (N, D), U-centred."""
    distances = pdist(features)
    with np.errstate(divide="ignore", invalid="ignore"):  # half of the images may be equal
        kernel = np.exp(-np.square(distances / (BANDWIDTH * np.median(distances))) / 2)
    return unit(u_centred(squareform(kernel)))


def ranked_dissimilarities(features: np.ndarray) -> np.ndarray:
    """Ranks of the Euclidean distances between images' features (N, D), less their mean; 0 on the diagonal.

    The product of two is Spearman's correlation of representational dissimilarities (Kriegeskorte et al. 2008).
    """
    ranks = rankdata(pdist(features))
    return unit(squareform(ranks - ranks.mean()))


def neighbour_graph(features: np.ndarray, neighbours: int) -> np.ndarray:
    """Which images are the nearest of each, by the cosine of their features (N, D), as in arXiv 2405.07987."""
    nearest = NearestNeighbors(n_neighbors=neighbours, metric="cosine").fit(features)
    return unit(nearest.kneighbors_graph().toarray())


def u_centred(kernel: np.ndarray) -> np.ndarray:
    """Centre a symmetric kernel (N, N), so that its product with another is an unbiased estimate of dependence.

    The product is n (n - 3) times the estimate of Song et al. (2012), in the form of Székely and Rizzo (2014). The
    diagonal has no influence.
    """
    images = len(kernel)
    off_diagonal = kernel - np.diag(np.diag(kernel))
    sums = off_diagonal.sum(axis=0) / (images - 2)
    centred = off_diagonal - sums - sums[:, None] + sums.sum() / (images - 1)
    np.fill_diagonal(centred, 0)
    return centred


def unit(matrix: np.ndarray) -> np.ndarray:
    """A matrix divided by its norm, float32; NaN if that is 0."""
    norm = np.linalg.norm(matrix)
    return np.divide(matrix, norm, out=np.full_like(matrix, np.nan), where=norm > 0).astype(np.float32)


def spectrum(features: np.ndarray) -> Spectrum:
    """The spectrum of features (N, D) that vary."""
    basis, values, axes = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)
    kept = values > values[0] * max(features.shape) * np.finfo(np.float32).eps
    return Spectrum(basis[:, kept], values[kept] / np.linalg.norm(values[kept]), axes[kept])


def svcca(one: Spectrum, other: Spectrum, cross: np.ndarray) -> float:
    """Mean canonical correlation between the directions of most variance, of spectra with `cross` of their bases."""
    rows, columns = (np.searchsorted(np.cumsum(each.values**2), EXPLAINED) + 1 for each in (one, other))
    return np.linalg.svd(cross[:rows, :columns], compute_uv=False).mean()


def pwcca(one: Spectrum, other: Spectrum, cross: np.ndarray) -> float:
    """Mean canonical correlation, each weighted by how much of the features its direction accounts for.

    The features are those of lower rank (arXiv 1806.05759). The authors' code forgets to whiten before it projects
    (github.com/google/svcca, `pwcca.py`); everything else agrees with it.
    """
    if len(one.values) > len(other.values):
        return pwcca(other, one, cross.T)
    directions, correlations, _ = np.linalg.svd(cross, full_matrices=False)
    weights = np.abs((directions.T * one.values) @ one.axes).sum(axis=1)
    return weights @ correlations / weights.sum()


def procrustes(one: Spectrum, other: Spectrum, cross: np.ndarray) -> float:
    """1 less half the squared distance of the features, centred and of norm 1, after the best rotation.

    It is the nuclear norm of their product (Ding et al., arXiv 2108.01661).
    """
    return np.linalg.svd(one.values[:, None] * cross * other.values, compute_uv=False).sum()
