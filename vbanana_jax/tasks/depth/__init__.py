"""Metric depth, painted along the edges of the RGB cube."""

from vbanana_jax.tasks.depth.task import Depth

__all__ = ['Depth']
