"""Procedural patterns in meters: how much of the second color at a point.

Edges are box-filtered over the width of a pixel, so that far floors turn
grey smoothly instead of into moire.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vbanana_jax.scenes.world import TILE_M

Scalars = Float[Array, '*r']
_JOINT_M = 0.05  # between bricks


def _square(u: Scalars, period: float, width: Scalars) -> Scalars:
  """A wave of -1 and 1 with the given period, its edges `width` wide."""
  phase = u * (1.0 / period)
  ramp = 4.0 * jnp.abs(phase - jnp.floor(phase) - 0.5) - 1.0
  return jnp.clip(ramp * (0.5 * period) / width, -1.0, 1.0)


def _joint(u: Scalars, period: float, width: Scalars) -> Scalars:
  """1 in the joints that lie at multiples of `period`, else 0."""
  phase = u * (1.0 / period)
  away = period * (0.5 - jnp.abs(phase - jnp.floor(phase) - 0.5))
  wide = jnp.maximum(width, _JOINT_M)
  return (_JOINT_M / wide) * jnp.clip(
    0.5 + (0.5 * wide - away) / width, 0.0, 1.0
  )


def plain(u: Scalars, v: Scalars, width: Scalars) -> Scalars:
  return jnp.zeros_like(u)


def checker(u: Scalars, v: Scalars, width: Scalars) -> Scalars:
  """Tiles of TILE_M."""
  period = 2 * TILE_M
  return 0.5 + 0.5 * _square(u, period, width) * _square(v, period, width)


def stripes(u: Scalars, v: Scalars, width: Scalars) -> Scalars:
  """Upright stripes, TILE_M wide."""
  return 0.5 + 0.5 * _square(u, 2 * TILE_M, width)


def bricks(u: Scalars, v: Scalars, width: Scalars) -> Scalars:
  """Courses TILE_M high of bricks twice as long, with darker joints."""
  row = jnp.floor(v * (1.0 / TILE_M))
  odd = row - 2.0 * jnp.floor(0.5 * row)
  upright = _joint(u + TILE_M * odd, 2 * TILE_M, width)
  return jnp.maximum(upright, _joint(v, TILE_M, width))


def noise(u: Scalars, v: Scalars, width: Scalars) -> Scalars:
  """Two octaves of value noise, the coarser with a period of TILE_M."""
  coarse = _value_noise(u / TILE_M, v / TILE_M)
  fine = _value_noise(2.7 * u / TILE_M + 11.0, 2.7 * v / TILE_M)
  fade = jnp.clip(2.0 - 3.0 * width / TILE_M, 0.0, 1.0)
  return 0.5 + fade * (0.65 * coarse + 0.35 * fine - 0.5)


def _value_noise(u: Scalars, v: Scalars) -> Scalars:
  u0, v0 = jnp.floor(u), jnp.floor(v)
  fu, fv = u - u0, v - v0
  fu, fv = fu * fu * (3.0 - 2.0 * fu), fv * fv * (3.0 - 2.0 * fv)
  i, j = u0.astype(jnp.int32), v0.astype(jnp.int32)
  low = _hash(i, j) * (1.0 - fu) + _hash(i + 1, j) * fu
  high = _hash(i, j + 1) * (1.0 - fu) + _hash(i + 1, j + 1) * fu
  return low * (1.0 - fv) + high * fv


def _hash(i: Scalars, j: Scalars) -> Scalars:
  """A fixed number in [0, 1) for each point of the lattice."""
  bits = i.astype(jnp.uint32) * jnp.uint32(0x9E3779B1)
  bits = bits ^ (j.astype(jnp.uint32) * jnp.uint32(0x85EBCA77))
  bits = (bits ^ (bits >> 15)) * jnp.uint32(0x2C1B3C6D)
  bits = (bits ^ (bits >> 12)) * jnp.uint32(0x297A2D39)
  return ((bits ^ (bits >> 15)) >> 8).astype(jnp.float32) * (2.0**-24)


PATTERNS = (plain, checker, stripes, bricks, noise)  # in the order of TEXTURES


def paint(
  texture: jax.Array, u: Scalars, v: Scalars, width: Scalars
) -> Scalars:
  """Share of the second color in [0, 1] for one texture id.

  Args:
    texture: int32 [], index into TEXTURES.
    u: first coordinate on the surface (m).
    v: second coordinate on the surface (m).
    width: of a pixel on the surface (m).
  """
  return jax.lax.switch(texture, PATTERNS, u, v, width)
