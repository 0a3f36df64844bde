"""Scores on the held-out set, while a run trains and after it."""
