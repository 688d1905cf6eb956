"""What a network is, and how it gets its weights."""
