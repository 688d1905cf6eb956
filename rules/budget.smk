"""The matrix as the training of its stitches grows."""

BUDGET = []
