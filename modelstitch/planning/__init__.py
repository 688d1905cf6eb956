"""What a study takes, and what its results owe to the code."""
