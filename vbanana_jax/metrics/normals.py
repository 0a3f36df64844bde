"""Surface normals: angular error, pooled over pixels and by image."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from vbanana_jax.metrics.sums import sum_pixels

THRESHOLDS_DEG = (5.0, 7.5, 11.25, 22.5, 30.0)
# Medians are exact to half a bin; a state has 180 / bin_deg integers.
BIN_DEG = 0.1
FINE_BIN_DEG = 0.01

_WITHIN = tuple(f'within_{threshold:g}' for threshold in THRESHOLDS_DEG)
_SCORES = ('mean_deg', 'median_deg', 'rmse_deg', *_WITHIN)


def is_direction(vectors: Float[ArrayLike, '... 3']) -> Bool[Array, '...']:
  """Where a vector points somewhere: not zero, NaN or infinite."""
  largest = jnp.max(jnp.abs(jnp.asarray(vectors, jnp.float32)), axis=-1)
  return (largest > 0.0) & (largest < jnp.inf)


def angular_error_deg(
  prediction: Float[ArrayLike, '... 3'], truth: Float[ArrayLike, '... 3']
) -> Float[Array, '...']:
  """Angle between vectors of any length in degrees.

  90 where one of them is no direction (see `is_direction`).

  Source: Kahan's 2 atan2(|u - v|, |u + v|), exact where acos is not.
  """
  apart, along = _compare(prediction, truth)
  return jnp.rad2deg(2.0 * jnp.arctan2(jnp.sqrt(apart), jnp.sqrt(along)))


def _compare(prediction, truth):
  """Squares of |u - v| and |u + v|; both 1 where there is no angle."""
  u, v = _unit(prediction), _unit(truth)
  known = is_direction(prediction) & is_direction(truth)
  apart = _squared_length([a - b for a, b in zip(u, v)])
  along = _squared_length([a + b for a, b in zip(u, v)])
  return jnp.where(known, apart, 1.0), jnp.where(known, along, 1.0)


def _unit(vectors):
  """x, y and z of unit vectors."""
  vectors = jnp.asarray(vectors, jnp.float32)
  largest = jnp.max(jnp.abs(vectors), axis=-1, keepdims=True)
  # Powers of two: squares stay finite, and no digit is lost.
  scale = jnp.where(largest > 1e15, 2.0**-80, 1.0)
  scale = jnp.where(largest < 1e-15, 2.0**80, scale)
  xyz = jnp.moveaxis(jnp.where(largest > 0.0, vectors * scale, 1.0), -1, 0)
  length = _round(jnp.sqrt(_squared_length(xyz)))
  return [x / length for x in xyz]


def _squared_length(xyz):
  x, y, z = (_round(jnp.square(x)) for x in xyz)
  return x + y + z


def _round(x):
  """One bit less, so that no compiler can draw a product into a sum.

  Where it does, and it does so by the shape of a batch, the last bit of a sum
  is another, and a pixel on the edge of a bin goes to the next one.
  """
  return jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=22)


def normals_states(
  prediction: Float[ArrayLike, 'b h w 3'],
  truth: Float[ArrayLike, 'b h w 3'],
  *,
  bin_deg: float = BIN_DEG,
  where: Bool[ArrayLike, '... h w'] | bool = True,
  valid: Bool[ArrayLike, 'b'] | bool = True,
) -> dict[str, Array]:
  """Sums and counts an example; add them over examples, then summarize.

  Pixels count where the truth is a direction (not zero, NaN or infinite) and
  `where`, in rows that are `valid`. A prediction that is none is 90 degrees
  off. `bin_deg` divides 180: BIN_DEG costs 7 KB an example, FINE_BIN_DEG 72 KB.

  Source: the DSINE protocol (pixels pooled over the data set); `image_*` as in
  Marigold's (scores of each image, then their mean).
  """
  counted = is_direction(truth) & where
  counted &= jnp.asarray(valid)[..., None, None]
  apart, along = _compare(prediction, truth)
  angle = jnp.where(counted, angular_error_deg(prediction, truth), 0.0)
  bins = round(180.0 / bin_deg)
  # What counts are compared by, to the last bit the same in every batch: the
  # squared tangent of half the angle. The angle itself is not.
  tangent = apart / along
  edges = jnp.asarray(_to_tangent(np.arange(1, bins) * (180.0 / bins)))

  def count(is_it):
    return jnp.sum(counted & is_it, axis=(-2, -1), dtype=jnp.int32)

  def count_bins(tangent, counted):
    index = jnp.searchsorted(edges, tangent, side='right')
    return jnp.zeros(bins, jnp.int32).at[index].add(counted.astype(jnp.int32))

  states = {
    'pixels': count(True),
    'angle': sum_pixels(angle),
    'angle_squared': sum_pixels(jnp.square(angle)),
    'histogram': jax.vmap(count_bins)(tangent, counted),
  }
  for threshold, name in zip(THRESHOLDS_DEG, _WITHIN):
    states[name] = count(tangent < _to_tangent(threshold))
  n = jnp.maximum(states['pixels'], 1).astype(jnp.float32)
  image = {
    'mean_deg': states['angle'] / n,
    'median_deg': _median_deg(states['histogram']),
    'rmse_deg': jnp.sqrt(states['angle_squared'] / n),
    **{name: states[name] / n for name in _WITHIN},
  }
  states['images'] = (states['pixels'] > 0).astype(jnp.int32)
  return {**states, **{f'image_{name}': x for name, x in image.items()}}


def _to_tangent(angle_deg):
  """Squared tangent of half an angle, float32, from float64 on the host."""
  return np.square(np.tan(np.deg2rad(angle_deg) / 2)).astype(np.float32)


def _median_deg(histogram):
  """Medians [b] from the bins' centers, half a bin exact; 0 of nothing."""
  bins = histogram.shape[-1]
  cumulative = jnp.cumsum(histogram, axis=-1)
  n = cumulative[:, -1:]
  # The bins of the two middle values: as many lie wholly below them.
  below = jnp.sum(cumulative <= jnp.maximum(n - 1, 0) // 2, axis=-1)
  below += jnp.sum(cumulative <= n // 2, axis=-1)
  return jnp.where(n[:, 0] > 0, (below + 1) * (90.0 / bins), 0.0)


def summarize_normals(states: Mapping[str, ArrayLike]) -> dict[str, float]:
  """mean_deg, median_deg, rmse_deg and shares within_5 .. within_30.

  Over all pixels, and as `image_*` the unweighted means over images. Medians
  are exact to half a bin; nan where nothing was counted.
  """
  images, pixels = float(states['images']), float(states['pixels'])
  if not pixels:
    names = (*_SCORES, *(f'image_{name}' for name in _SCORES))
    return dict.fromkeys(names, float('nan'))
  return {
    'mean_deg': float(states['angle']) / pixels,
    'median_deg': _pooled_median_deg(np.asarray(states['histogram'])),
    'rmse_deg': float(np.sqrt(states['angle_squared'] / pixels)),
    **{name: float(states[name]) / pixels for name in _WITHIN},
    **{
      f'image_{name}': float(states[f'image_{name}']) / images
      for name in _SCORES
    },
  }


def _pooled_median_deg(histogram):
  """As `_median_deg`, in int64 or float64 on the host."""
  cumulative = np.cumsum(histogram)
  n = int(cumulative[-1])
  middle = [(n - 1) // 2, n // 2]
  bins = np.searchsorted(cumulative, middle, side='right')
  return float((bins.mean() + 0.5) * 180.0 / len(histogram))
