"""What else is computed of a network, a pair or a cell."""
