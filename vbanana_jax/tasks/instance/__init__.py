"""Instance segmentation of one class."""

from vbanana_jax.tasks.instance.task import Instance

__all__ = ['Instance']
