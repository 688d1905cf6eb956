"""Figures of a study, drawn from its tables."""

from modelstitch.figures.canvas import save
from modelstitch.figures.matrices import (
    draw_all_depths,
    draw_all_overviews,
    draw_all_pairs,
    draw_controls,
    draw_depth,
    draw_overview,
    draw_pair,
)

__all__ = [
    "draw_all_depths",
    "draw_all_overviews",
    "draw_all_pairs",
    "draw_controls",
    "draw_depth",
    "draw_overview",
    "draw_pair",
    "save",
]
