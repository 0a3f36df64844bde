"""Paths, losses and samplers: pure functions of arrays."""
