"""Pictures painted by anything, scored as a protocol says."""

from vbanana_jax.grading.folder import Grade, compare, grade, refuse_other

__all__ = ['Grade', 'compare', 'grade', 'refuse_other']
