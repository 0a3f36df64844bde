"""Places of tokens, and the rotations that tell them to the attention."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int

# Cosines or sines of every token, and both.
Table = Float32[Array | np.ndarray, 'm e']
Tables = tuple[Table, Table]
# On the first axis of places the target stands at 0, the references at 10, 20.
_REFERENCE_STEP = 10


def picture_places(
  grids: Sequence[tuple[int, int]],
) -> Int[np.ndarray, 'n 4']:
  """Places of the target's tokens, then of each reference's.

  Args:
    grids: rows and columns of tokens of the target and of every reference.

  Returns:
    (picture, row, column, 0) of all tokens, row by row.
  """
  places = []
  for number, (rows, columns) in enumerate(grids):
    rows_columns = np.indices((rows, columns)).reshape(2, -1).T
    picture = np.full((rows * columns, 1), _REFERENCE_STEP * number)
    places.append(
      np.concatenate([picture, rows_columns, np.zeros_like(picture)], axis=1)
    )
  return np.concatenate(places)


def text_places(length: int) -> Int[np.ndarray, 'l 4']:
  """(0, 0, 0, position) of text tokens; pads are counted like words."""
  places = np.zeros((length, 4), int)
  places[:, 3] = np.arange(length)
  return places


def axes_tables(
  places: Int[np.ndarray, 'n 4'], axes: Sequence[int], theta: float
) -> Tables:
  """Cosines and sines `[n, e]` for `layers.apply_rope`, which turns neighbors.

  Args:
    places: of all tokens, text first.
    axes: features that turn with each axis; they sum up to e.
    theta: slowest wavelength, over 2 pi.
  """
  angles = [
    places[:, axis, None] * theta ** (-np.arange(0, size, 2) / size)
    for axis, size in enumerate(axes)
  ]
  angles = np.repeat(np.concatenate(angles, axis=1), 2, axis=1)
  return np.cos(angles).astype('f'), np.sin(angles).astype('f')


def half_tables(length: int, head_width: int, theta: float) -> Tables:
  """Cosines and sines `[l, e]` for `turn_halves`, of positions from 0."""
  frequencies = theta ** (-np.arange(0, head_width, 2) / head_width)
  angles = np.arange(length)[:, None] * np.tile(frequencies, 2)
  return np.cos(angles).astype('f'), np.sin(angles).astype('f')


def turn_halves(
  x: Float[Array, 'b m k e'], tables: Tables
) -> Float[Array, 'b m k e']:
  """Turns features i and i + e/2 together, in float32."""
  first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
  turned = jnp.concatenate([-second, first], axis=-1)
  cos, sin = tables
  x32 = x * cos[:, None] + turned * sin[:, None]
  return x32.astype(x.dtype)
