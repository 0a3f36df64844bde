"""Surface normals: angular error over all pixels of a data set."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

THRESHOLDS_DEG = (5.0, 11.25, 22.5, 30.0)
BIN_DEG = 0.1
BINS = 1800


def _unit(vectors):
  """Unit vectors; zero, NaN and infinite ones become zero."""
  vectors = jnp.asarray(vectors, jnp.float32)
  squared = jnp.sum(jnp.square(vectors), axis=-1, keepdims=True)
  usable = (squared > 0.0) & (squared < jnp.inf)
  length = jnp.sqrt(jnp.where(usable, squared, 1.0))
  return jnp.where(usable, vectors / length, 0.0), usable[..., 0]


def angular_error_deg(
  prediction: Float[ArrayLike, '... 3'], truth: Float[ArrayLike, '... 3']
) -> Float[Array, '...']:
  """Angle between vectors of any length in degrees; 90 where one is zero.

  Source: Kahan's 2 atan2(|u - v|, |u + v|), exact where acos is not.
  """
  u, u_usable = _unit(prediction)
  v, v_usable = _unit(truth)
  apart = jnp.linalg.norm(u - v, axis=-1)
  along = jnp.linalg.norm(u + v, axis=-1)
  angle = jnp.rad2deg(2.0 * jnp.arctan2(apart, along))
  return jnp.where(u_usable & v_usable, angle, 90.0)


def normals_states(
  prediction: Float[ArrayLike, 'b h w 3'],
  truth: Float[ArrayLike, 'b h w 3'],
  *,
  where: Bool[ArrayLike, 'b h w'] | bool = True,
  valid: Bool[ArrayLike, 'b'] | bool = True,
) -> dict[str, Array]:
  """Sums and counts an example; add them over examples, then summarize.

  Pixels count where the true normal is not zero and `where`, in rows that are
  `valid`. A predicted zero vector is 90 degrees off.

  Source: the DSINE protocol (pixels pooled over the data set).
  """
  truth = jnp.asarray(truth, jnp.float32)
  counted = jnp.any(truth != 0.0, axis=-1) & where
  counted &= jnp.asarray(valid)[..., None, None]
  angle = jnp.where(counted, angular_error_deg(prediction, truth), 0.0)

  def total(x, dtype=jnp.float32):
    return jnp.sum(jnp.where(counted, x, 0), axis=(-2, -1), dtype=dtype)

  def histogram(angle, counted):
    index = jnp.clip((angle / BIN_DEG).astype(jnp.int32), 0, BINS - 1)
    return jnp.zeros(BINS, jnp.int32).at[index].add(counted.astype(jnp.int32))

  states = {
    'pixels': total(1, jnp.int32),
    'angle': total(angle),
    'angle_squared': total(jnp.square(angle)),
    'histogram': jax.vmap(histogram)(angle, counted),
  }
  for threshold in THRESHOLDS_DEG:
    states[f'within_{threshold:g}'] = total(angle < threshold, jnp.int32)
  return states


def _median_deg(histogram):
  """Median from the bins' centres, half a bin exact."""
  cumulative = np.cumsum(histogram)
  n = int(cumulative[-1])
  middle = [(n - 1) // 2, n // 2]
  bins = np.searchsorted(cumulative, middle, side='right')
  return float((bins.mean() + 0.5) * BIN_DEG)


def summarize_normals(states: Mapping[str, ArrayLike]) -> dict[str, float]:
  """mean_deg, median_deg, rmse_deg and shares within_5 .. within_30.

  The median is exact to 0.05 degrees; nan where nothing was counted.
  """
  within = [f'within_{threshold:g}' for threshold in THRESHOLDS_DEG]
  pixels = float(states['pixels'])
  if not pixels:
    names = ('mean_deg', 'median_deg', 'rmse_deg', *within)
    return dict.fromkeys(names, float('nan'))
  return {
    'mean_deg': float(states['angle']) / pixels,
    'median_deg': _median_deg(states['histogram']),
    'rmse_deg': float(np.sqrt(states['angle_squared'] / pixels)),
    **{name: float(states[name]) / pixels for name in within},
  }
