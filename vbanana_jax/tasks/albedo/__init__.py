"""Albedo: the colors of things without light."""

from vbanana_jax.tasks.albedo.task import Albedo

__all__ = ['Albedo']
