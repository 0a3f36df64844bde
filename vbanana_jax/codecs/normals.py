"""Surface normals as a colour: x right, y up, z to the viewer; red mirrored."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

# The red axis points left: a wall that faces left is pinkish red.
SIGNS = (-1.0, 1.0, 1.0)


def encode(normals: Float[ArrayLike, '... 3']) -> Float[Array, '... 3']:
  """Paints unit normals as RGB in [0, 1]; the zero vector becomes mid-grey.

  Source: Vision Banana, section 2.5: ((1 - x) / 2, (1 + y) / 2, (1 + z) / 2).
  """
  signs = jnp.asarray(SIGNS, jnp.float32)
  return jnp.clip((1.0 + signs * jnp.asarray(normals)) / 2.0, 0.0, 1.0)


def _unpaint(rgb):
  """Un-normalised normals and their squared length."""
  signs = jnp.asarray(SIGNS, jnp.float32)
  vectors = signs * (2.0 * jnp.asarray(rgb, jnp.float32) - 1.0)
  return vectors, jnp.sum(jnp.square(vectors), axis=-1, keepdims=True)


def decode(rgb: Float[ArrayLike, '... 3']) -> Float[Array, '... 3']:
  """Reads unit normals from RGB in [0, 1]; exact mid-grey is the zero vector.

  Source: Vision Banana, section 2.5; painted lengths stray from 1, so the
  vectors are scaled back to it.
  """
  vectors, squared = _unpaint(rgb)
  zero = squared <= 0.0
  length = jnp.sqrt(jnp.where(zero, 1.0, squared))
  return jnp.where(zero, 0.0, vectors / length)


def residual(rgb: Float[ArrayLike, '... 3']) -> Float[Array, '...']:
  """Distance of a colour from the sphere of legal ones, RGB [0, 1] units."""
  squared = _unpaint(rgb)[1][..., 0]
  zero = squared <= 0.0
  length = jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, squared)))
  return jnp.abs(length - 1.0) / 2.0
