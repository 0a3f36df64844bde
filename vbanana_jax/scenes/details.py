"""Photographs as the detail of surfaces: by what they change a base color.

A detail is a photograph divided by its own mean color, so that a red ball stays
red and a checkered floor checkered: only the words for them are true as before.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from vbanana_jax import resizing
from vbanana_jax.scenes.primitives import Vector

KINDS = (
  4  # of surfaces with a detail of their own: floor, wall, ceiling, object
)
SIDE = 64
LEVELS = 6  # each of half the resolution of the one before
_SIDE_M = 2.0  # of a photograph on a surface
_DARKEST, _BRIGHTEST = 0.25, 2.5
_STRENGTH = 0.6  # exponent of the factors; at 1 patterns would not be seen
_LEAST_MEAN = 0.02  # below, a photograph is black


class Details(NamedTuple):
  """Details of the surfaces of scenes.

  Attributes:
    table: what `make_detail` makes of photographs, shared by scenes.
    chosen: of each kind of surface the row of the table.
  """

  table: Float[Array, 'p l s s 3']
  chosen: Int[Array, '*n k']


def make_detail(
  rgb_u8: UInt8[np.ndarray, 'h w 3'],
) -> Float[np.ndarray, 'l s s 3']:
  """Factors of a base color, sharp first; each channel's mean is about 1."""
  square = (
    resizing.resize_picture(rgb_u8, (SIDE, SIDE)).astype(np.float32) / 255
  )
  mean = square.mean((0, 1))
  factors = np.where(mean > _LEAST_MEAN, square / np.maximum(mean, 1e-6), 1.0)
  factors = np.clip(factors, _DARKEST, _BRIGHTEST) ** _STRENGTH
  levels = [factors / factors.mean((0, 1))]
  for level in range(1, LEVELS):
    step = 2**level
    blocks = levels[0].reshape(SIDE // step, step, SIDE // step, step, 3)
    small = blocks.mean((1, 3))
    levels.append(small.repeat(step, 0).repeat(step, 1))
  return np.stack(levels).astype(np.float32)


def make_flat() -> Float[np.ndarray, 'l s s 3']:
  """The detail that changes nothing."""
  return np.ones((LEVELS, SIDE, SIDE, 3), np.float32)


def look_up(
  details: Details,
  kind: Int[Array, 'r'],
  u: Float[Array, 'r'],
  v: Float[Array, 'r'],
  width: Float[Array, 'r'],
) -> Vector:
  """Factors at points of surfaces, interpolated.

  Photographs are mirrored at their borders, so that no seam is seen.

  Args:
    details: of one scene.
    kind: of each point.
    u: first coordinate on the surface (m).
    v: second coordinate on the surface (m).
    width: of a pixel on the surface (m), which chooses the level.
  """
  texel_m = _SIDE_M / SIDE
  level = jnp.log2(jnp.maximum(width / texel_m, 1.0))
  level = jnp.clip(jnp.round(level), 0, LEVELS - 1).astype(jnp.int32)
  table = details.table.reshape(-1, 3)
  row = details.chosen[0]
  for k in range(1, KINDS):  # a gather would not be vectorized on CPU
    row = jnp.where(kind == k, details.chosen[k], row)
  place = (row * LEVELS + level) * SIDE
  x0, x1, x = _find_texels(u)
  y0, y1, y = _find_texels(v)

  def fetch(row, column):
    return table[(place + row) * SIDE + column]

  top = fetch(y0, x0) * (1.0 - x) + fetch(y0, x1) * x
  bottom = fetch(y1, x0) * (1.0 - x) + fetch(y1, x1) * x
  found = top * (1.0 - y) + bottom * y
  return tuple(jnp.moveaxis(found, -1, 0))


def _find_texels(coordinate: Float[Array, 'r']):
  """Two neighbors and the share of the second one, of a mirrored photograph."""
  phase = coordinate * (0.5 / _SIDE_M)
  there_and_back = 1.0 - jnp.abs(2.0 * (phase - jnp.floor(phase)) - 1.0)
  place = there_and_back * (SIDE - 1)
  first = jnp.clip(jnp.floor(place), 0, SIDE - 2).astype(jnp.int32)
  return first, first + 1, (place - first)[:, None]
