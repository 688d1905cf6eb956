"""How stitches are made: objectives, protocols and optimisers, and the work on one pair from networks to record."""
