"""Metric depth: delta, AbsRel, RMSE and SILog, by image and over all pixels.

Nothing is aligned or rescaled: the numbers are about metres.
"""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

NEAREST_M = 1e-3

# Per-image scores whose unweighted mean over images is the standard metric.
_SCORES = ('delta1', 'delta2', 'delta3', 'abs_rel', 'rmse', 'silog')


def depth_states(
  prediction_m: Float[ArrayLike, 'b h w'],
  truth_m: Float[ArrayLike, 'b h w'],
  *,
  cap_m: ArrayLike = 80.0,
  where: Bool[ArrayLike, 'b h w'] | bool = True,
  valid: Bool[ArrayLike, 'b'] | bool = True,
) -> dict[str, Array]:
  """Sums and counts an example; add them over examples, then summarize.

  Pixels count where 1 mm < truth < cap_m (so not 0, +inf or NaN) and `where`,
  in rows that are `valid`. Predictions are clamped to [1 mm, cap_m] first, as
  black decodes to 0 and white to infinity; a NaN prediction is read as 1 mm.

  Source: Eigen et al. 2014; SILog is 100 times the standard deviation of the
  log ratio.
  """
  prediction_m = jnp.asarray(prediction_m, jnp.float32)
  truth_m = jnp.asarray(truth_m, jnp.float32)
  counted = (truth_m > NEAREST_M) & (truth_m < cap_m) & where
  counted &= jnp.asarray(valid)[..., None, None]
  p = jnp.where(jnp.isnan(prediction_m), NEAREST_M, prediction_m)
  p = jnp.where(counted, jnp.clip(p, NEAREST_M, cap_m), 1.0)
  g = jnp.where(counted, truth_m, 1.0)

  def total(x, dtype=jnp.float32):
    return jnp.sum(jnp.where(counted, x, 0), axis=(-2, -1), dtype=dtype)

  pixels = total(1, jnp.int32)
  n = jnp.maximum(pixels, 1).astype(jnp.float32)
  ratio = jnp.maximum(p / g, g / p)
  log_ratio = jnp.log(p) - jnp.log(g)
  log_sum = total(log_ratio)
  # The mean leaves first: E[e^2] - E[e]^2 cancels in float32.
  log_mean = log_sum / n
  log_scatter = total(jnp.square(log_ratio - log_mean[..., None, None]))
  squared = total(jnp.square(p - g))
  states = {
    'images': (pixels > 0).astype(jnp.int32),
    'pixels': pixels,
    'delta1': total(ratio < 1.25, jnp.int32),
    'delta2': total(ratio < 1.25**2, jnp.int32),
    'delta3': total(ratio < 1.25**3, jnp.int32),
    'abs_rel': total(jnp.abs(p - g) / g),
    'squared': squared,
    'log': log_sum,
    'log_squared': log_scatter + n * jnp.square(log_mean),
    'image_rmse': jnp.sqrt(squared / n),
    'image_silog': 100.0 * jnp.sqrt(log_scatter / n),
  }
  for key in ('delta1', 'delta2', 'delta3', 'abs_rel'):
    states[f'image_{key}'] = states[key] / n
  return states


def summarize_depth(states: Mapping[str, ArrayLike]) -> dict[str, float]:
  """Scores of summed states: means over images, and `pooled_*` over pixels.

  delta* in [0, 1], abs_rel a ratio, rmse in metres, silog times 100; nan
  where nothing was counted.
  """
  images, pixels = float(states['images']), float(states['pixels'])
  if not pixels:
    names = (*_SCORES, *(f'pooled_{name}' for name in _SCORES))
    return dict.fromkeys(names, float('nan'))
  scores = {name: float(states[f'image_{name}']) / images for name in _SCORES}
  for name in ('delta1', 'delta2', 'delta3', 'abs_rel'):
    scores[f'pooled_{name}'] = float(states[name]) / pixels
  scores['pooled_rmse'] = float(np.sqrt(states['squared'] / pixels))
  variance = states['log_squared'] / pixels - (states['log'] / pixels) ** 2
  scores['pooled_silog'] = float(100.0 * np.sqrt(max(variance, 0.0)))
  return scores
