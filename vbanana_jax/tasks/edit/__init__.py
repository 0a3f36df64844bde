"""Editing: a picture and an instruction in, the changed picture out."""

from vbanana_jax.tasks.edit.task import Edit

__all__ = ['Edit']
