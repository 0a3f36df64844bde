"""Pixels painted between two colors of a legend, which read as a third one."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

# How often a pixel of a rim is read right all the same, in paintings of random
# cells under mixed noise: `python -m perf.confidence`.
CONFIDENCE = 0.04
# Pixels to either side at which a rim's two colors are looked for; a rim of up
# to 5 pixels is found.
_REACHES = (1, 3)
_LEAST = 16 / 255  # from the color that it is read as, RGB [0, 1] units
_CLEARLY = 2.0  # as near to the line between both sides, at least


def find_rims(
  rgb: Float[ArrayLike, 'h w 3'],
  labels: Int[ArrayLike, 'h w'],
  distance: Float[ArrayLike, 'h w'],
) -> Bool[Array, 'h w']:
  """Where a pixel is a mixture of its two sides, and read as neither.

  Borders that are drawn smooth, or blurred, have the colors between both
  sides, and the nearest of a legend may be a third. Such a pixel has two other
  labels to its left and right, or above and below, and its color is at least
  twice as near to the line between theirs as to the color of its own label. A
  mixture that has exactly the third color cannot be told, nor can a line of
  that color that somebody painted so.

  Args:
    rgb: in [0, 1].
    labels: of `nearest.decode_nearest`.
    distance: of it.

  Source: ours.
  """
  height, width = labels.shape
  planes = [jnp.asarray(rgb, jnp.float32)[..., k] for k in range(3)]
  planes.append(jnp.asarray(labels, jnp.float32))
  most = max(_REACHES)
  padded = [jnp.pad(plane, most, mode='edge') for plane in planes]

  def look(down, right):
    rows = slice(most + down, most + down + height)
    columns = slice(most + right, most + right + width)
    return [plane[rows, columns] for plane in padded]

  squared = jnp.square(distance)
  found = jnp.zeros(labels.shape, bool)
  for reach in _REACHES:
    for down, right in ((reach, 0), (0, reach)):
      *one, one_label = look(-down, -right)
      *other, other_label = look(down, right)
      span = [b - a for a, b in zip(one, other)]
      step = [x - a for a, x in zip(one, planes)]
      length = sum(x * x for x in span)
      along = sum(x * y for x, y in zip(span, step))
      away = sum(x * x for x in step) - along * along / jnp.maximum(
        length, 1e-6
      )
      found |= (
        (one_label != planes[3])
        & (other_label != planes[3])
        & (one_label != other_label)
        & (along > 0)
        & (along < length)
        & (_CLEARLY**2 * away < squared)
      )
  return found & (squared >= _LEAST**2)
