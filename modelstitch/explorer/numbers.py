"""Numbers as a page holds them."""

import math
from collections.abc import Iterable

DIGITS = 5  # a share of 50,000 images is exact


def rounded(values: Iterable[float], digits: int = DIGITS) -> list[float | None]:
    """Numbers with so many significant digits; null where they aren't finite, for which JSON has no word."""
    return [float(f"{value:.{digits}g}") if math.isfinite(value) else None for value in values]
