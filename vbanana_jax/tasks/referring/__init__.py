"""Referring expressions: the objects that a phrase denotes."""

from vbanana_jax.tasks.referring.task import Referring

__all__ = ['Referring']
