"""Generation: a caption in, a picture out."""

from vbanana_jax.tasks.generate.task import Generate

__all__ = ['Generate']
