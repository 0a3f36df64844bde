"""Surface normals as a color: x right, y up, z to the viewer; red mirrored."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

# The red axis points left: a wall that faces left is pinkish red.
SIGNS = (-1.0, 1.0, 1.0)
# Painted lengths of a surface: others are of grays and of the corners of the
# cube, as generators paint the sky. Of the damaged paintings of perf.confidence
# 4 in 10,000 pixels are outside, one in seven of them within 11.25 degrees.
SHORTEST, LONGEST = 0.25, 1.4
_LARGEST = 1e15  # a channel beyond it is no color; its square is finite

# Weights of 1, log(1 + 10 short) and log(1 + 10 long) in the log odds of
# `confidence`. Fitted by `python -m perf.confidence`.
CONFIDENCE = (3.346, -3.353, -2.058)


def encode(normals: Float[ArrayLike, '... 3']) -> Float[Array, '... 3']:
  """Paints unit normals as RGB in [0, 1].

  The zero vector, and one with NaN or infinity in it, becomes mid-gray, which
  no direction has.

  Source: Vision Banana, section 2.5: ((1 - x) / 2, (1 + y) / 2, (1 + z) / 2).
  """
  normals = jnp.asarray(normals, jnp.float32)
  usable = jnp.all(jnp.isfinite(normals), axis=-1, keepdims=True)
  signs = jnp.asarray(SIGNS, jnp.float32)
  signed = signs * jnp.where(usable, normals, 0.0)
  return jnp.clip((1.0 + signed) / 2.0, 0.0, 1.0)


def _unpaint(rgb):
  """Un-normalized normals, their length (safe to divide by), and use."""
  rgb = jnp.asarray(rgb, jnp.float32)
  signs = jnp.asarray(SIGNS, jnp.float32)
  usable = jnp.all(jnp.abs(rgb) < _LARGEST, axis=-1, keepdims=True)
  vectors = signs * jnp.where(usable, 2.0 * rgb - 1.0, 0.0)
  squared = jnp.sum(jnp.square(vectors), axis=-1, keepdims=True)
  zero = squared <= 0.0
  length = jnp.sqrt(jnp.where(zero, 1.0, squared))
  return vectors, length, zero, usable


def decode(rgb: Float[ArrayLike, '... 3']) -> Float[Array, '... 3']:
  """Reads unit normals from RGB in [0, 1].

  Exact mid-gray (0.5, not the 8-bit 127 or 128, which are faint directions),
  and a color with a channel that is NaN, infinite or beyond 1e15, is the
  zero vector: no direction.

  Source: Vision Banana, section 2.5; painted lengths stray from 1, so the
  vectors are scaled back to it.
  """
  vectors, length, zero, _ = _unpaint(rgb)
  return jnp.where(zero, 0.0, vectors / length)


def find_surface(rgb: Float[ArrayLike, '... 3']) -> Bool[Array, '...']:
  """Where a painted vector's length is near enough to 1 to be a direction.

  False for black, white, mid-gray (within 17 levels), magenta (255, 0, 255) and
  the other corners of the cube of colors, as generators paint what has no
  surface, and for NaN. `decode` reads a direction even there.

  Source: ours; lengths of 0.25 to 1.4 count.
  """
  _, length, zero, _ = _unpaint(rgb)
  length = jnp.where(zero, 0.0, length)[..., 0]
  return (length >= SHORTEST) & (length <= LONGEST)


def decode_surface(rgb: Float[ArrayLike, '... 3']) -> Float[Array, '... 3']:
  """Unit normals as of `decode`, zero where `find_surface` finds none.

  Source: ours.
  """
  return jnp.where(find_surface(rgb)[..., None], decode(rgb), 0.0)


def residual(rgb: Float[ArrayLike, '... 3']) -> Float[Array, '...']:
  """Distance of a color from the sphere of legal ones, RGB [0, 1] units.

  Infinite where a channel is NaN or infinite.
  """
  _, length, zero, usable = _unpaint(rgb)
  length = jnp.where(zero, 0.0, length)
  distance = jnp.abs(length - 1.0) / 2.0
  return jnp.where(usable, distance, jnp.inf)[..., 0]


def evidence(
  rgb: Float[ArrayLike, '... 3'],
) -> tuple[Float[Array, '...'], Float[Array, '...']]:
  """What the confidence weighs: how much too short or too long a vector is.

  Both at least 0, and in lengths of a unit vector.
  """
  _, length, zero, _ = _unpaint(rgb)
  length = jnp.where(zero, 0.0, length)[..., 0]
  return jnp.maximum(1.0 - length, 0.0), jnp.maximum(length - 1.0, 0.0)


def confidence(rgb: Float[ArrayLike, '... 3']) -> Float[Array, '...']:
  """Probability that a decoded normal is within 11.25 degrees of the true one.

  From the painted length alone: blends of two directions are too short. Where
  `find_surface` finds none it is 0.

  Calibrated on paintings of random bent planes under mixed Gaussian noise,
  blur and JPEG (`perf/paintings.py`); see `depth.confidence` for what
  that means.

  Source: ours; right as the 11.25 degree fraction has it.
  """
  short, long = evidence(rgb)
  constant, of_short, of_long = CONFIDENCE
  odds = constant + of_short * jnp.log1p(10 * short)
  odds += of_long * jnp.log1p(10 * long)
  return jnp.where(find_surface(rgb), jax.nn.sigmoid(odds), 0.0)
