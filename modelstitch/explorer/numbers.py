"""Numbers as a page holds them."""

import math
from collections.abc import Iterable

DIGITS = 5  # a share of 50,000 images is exact


def rounded(values: Iterable[float]) -> list[float | None]:
    """Numbers with `DIGITS` significant digits; null where they aren't finite, for which JSON has no word."""
    return [float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None for value in values]
