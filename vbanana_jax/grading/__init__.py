"""Pictures painted by anything, scored as a protocol says."""

from vbanana_jax.grading.folder import Grade, compare, grade

__all__ = ['Grade', 'compare', 'grade']
