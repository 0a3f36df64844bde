"""Answers as pictures to look at: maps, labels over photos, legends."""
