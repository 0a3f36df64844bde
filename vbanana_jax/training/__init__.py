"""State, step, optimizer, checkpoints and what a run records of itself."""
