"""Surface normals."""

from vbanana_jax.tasks.normals.task import Normals

__all__ = ['Normals']
