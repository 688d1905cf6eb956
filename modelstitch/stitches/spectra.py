"""The weight of a stitch as a matrix: singular values, and distances to an orthogonal matrix and a permutation."""

from collections.abc import Mapping
from functools import cache

import numpy as np
from scipy.optimize import linear_sum_assignment

from modelstitch.seeds import seed_of

SPECTRUM = ("largest_singular_value", "smallest_singular_value", "spectral_ratio", "full_rank", "numerical_rank")
SHAPES = ("effective_rank", "participation_ratio", "orthogonal_distance", "permutation_distance")


def spectrum(weight: np.ndarray) -> dict[str, float]:
    """`SPECTRUM` and `SHAPES` of a weight (O, D); empty if it is zero or not finite.

    The effective rank is the exponential of the entropy of the normalised singular values (Roy and Vetterli, EUSIPCO
    2007). The participation ratio is (Σ s²)² / Σ s⁴. The numerical rank counts the singular values above float32's
    rounding, as `numpy.linalg.matrix_rank` does.
    """
    if not np.isfinite(weight).all() or not weight.any():
        return {}
    values = np.linalg.svd(weight.astype(np.float64), compute_uv=False)
    squares, shares = np.square(values), values[values > 0] / values.sum()
    rounding = values[0] * max(weight.shape) * np.finfo(np.float32).eps
    return {
        "largest_singular_value": values[0],
        "smallest_singular_value": values[-1],
        "spectral_ratio": values[0] / np.sqrt(squares.sum()),
        "full_rank": len(values),
        "numerical_rank": int((values > rounding).sum()),
        "effective_rank": np.exp(-(shares * np.log(shares)).sum()),
        "participation_ratio": squares.sum() ** 2 / np.square(squares).sum(),
        "orthogonal_distance": relative_distance(values.sum(), weight),
        "permutation_distance": permutation_distance(weight),
    }


def relative_distance(product: float, weight: np.ndarray) -> float:
    """Least ‖W - cQ‖ / ‖W‖ over scales c >= 0, Frobenius norms, for a Q of squared norm min(O, D).

    Args:
        product: the inner product ⟨W, Q⟩. Of the nearest semi-orthogonal Q it is the sum of the singular values
            (Schönemann, Psychometrika 1966).
        weight: W, (O, D).

    Returns:
        From 0, where W is a multiple of Q, to 1.
    """
    squares = np.square(weight, dtype=np.float64).sum()
    return float(np.sqrt(max(0.0, 1 - max(0.0, product) ** 2 / (min(weight.shape) * squares))))


def permutation_distance(weight: np.ndarray) -> float:
    """`relative_distance` of a weight (O, D) to the nearest matrix that assigns each output a different input.

    With more outputs than inputs, each input is assigned a different output. The assignment is the optimal one.
    """
    rows, columns = linear_sum_assignment(weight, maximize=True)
    return relative_distance(weight[rows, columns].sum(dtype=np.float64), weight)


@cache
def random_spectrum(outputs: int, inputs: int) -> Mapping[str, float]:
    """`SHAPES` of a Gaussian matrix (O, D), as `<name>_random`: the values without any learning."""
    generator = np.random.default_rng(seed_of("stitch_spectra", outputs, inputs))
    found = spectrum(generator.standard_normal((outputs, inputs)))
    return {f"{name}_random": found[name] for name in SHAPES}
