"""How stitches are made: objectives, protocols, optimisers; one pair from networks to record."""
