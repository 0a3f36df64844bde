"""Semantic segmentation by a legend in words."""

from vbanana_jax.tasks.semantic.task import Semantic

__all__ = ['Semantic']
