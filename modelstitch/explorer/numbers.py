"""Numbers in the form in which the page holds them."""

import math
from collections.abc import Iterable

DIGITS = 5  # a share of 50,000 images is exact


def rounded(values: Iterable[float], digits: int = DIGITS) -> list[float | None]:
    """Numbers rounded to so many significant digits; None where they are not finite, which JSON can not express."""
    return [float(f"{value:.{digits}g}") if math.isfinite(value) else None for value in values]
