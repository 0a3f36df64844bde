"""Published data sets: their files, protocols, and scores of any pictures."""
