"""Metric depth: delta, relative, log and SILog errors, by image and pooled.

Nothing is aligned or rescaled: the numbers are about meters. Scores of aligned
depth are in `alignment`, under other names.
"""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from vbanana_jax.metrics.sums import sum_pixels

NEAREST_M = 1e-3

# Means over an image's pixels; the other scores are roots of such means.
_MEANS = ('delta1', 'delta2', 'delta3', 'abs_rel', 'sq_rel', 'log10')
# Per-image scores whose unweighted mean over images is the standard metric.
SCORES = (*_MEANS, 'rmse', 'rmse_log', 'silog')


def is_measured(
  truth_m: Float[ArrayLike, 'b h w'],
  *,
  near_m: ArrayLike = NEAREST_M,
  cap_m: ArrayLike = 80.0,
  where: Bool[ArrayLike, '... h w'] | bool = True,
  valid: Bool[ArrayLike, 'b'] | bool = True,
) -> Bool[Array, 'b h w']:
  """Pixels that count: near_m < truth < cap_m, `where`, in `valid` rows.

  So not 0, +inf or NaN; `where` may be a crop of `crops`.
  """
  truth_m = jnp.asarray(truth_m, jnp.float32)
  counted = (truth_m > near_m) & (truth_m < cap_m) & where
  return counted & jnp.asarray(valid)[..., None, None]


def clamp(
  prediction_m: Float[ArrayLike, 'b h w'],
  clamp_m: tuple[ArrayLike, ArrayLike],
) -> Float[Array, 'b h w']:
  """Depth moved into the range `clamp_m`; NaN is read as its nearer end."""
  nearest_m, farthest_m = clamp_m
  prediction_m = jnp.asarray(prediction_m, jnp.float32)
  p = jnp.where(jnp.isnan(prediction_m), nearest_m, prediction_m)
  return jnp.clip(p, nearest_m, farthest_m)


def depth_states(
  prediction_m: Float[ArrayLike, 'b h w'],
  truth_m: Float[ArrayLike, 'b h w'],
  *,
  near_m: ArrayLike = NEAREST_M,
  cap_m: ArrayLike = 80.0,
  clamp_m: tuple[ArrayLike, ArrayLike] | None = None,
  where: Bool[ArrayLike, '... h w'] | bool = True,
  valid: Bool[ArrayLike, 'b'] | bool = True,
) -> dict[str, Array]:
  """Sums and counts an example; add them over examples, then summarize.

  Pixels count as of `is_measured`. Predictions are clamped to `clamp_m` first,
  as black decodes to 0 and white to infinity; its ends are above 0, and 1 mm
  and cap_m where it is None. A NaN prediction is read as the nearer end.

  Source: Eigen et al. 2014. Logarithms are natural but for log10; SILog is 100
  times the standard deviation (of the population) of the log ratio.
  """
  counted = is_measured(
    truth_m, near_m=near_m, cap_m=cap_m, where=where, valid=valid
  )
  ends_m = (NEAREST_M, cap_m) if clamp_m is None else clamp_m
  p = jnp.where(counted, clamp(prediction_m, ends_m), 1.0)
  g = jnp.where(counted, jnp.asarray(truth_m, jnp.float32), 1.0)

  def total(x):
    return sum_pixels(jnp.where(counted, x, 0.0))

  def count(is_it):
    return jnp.sum(counted & is_it, axis=(-2, -1), dtype=jnp.int32)

  pixels = count(True)
  n = jnp.maximum(pixels, 1).astype(jnp.float32)
  error = p - g
  ratio = jnp.maximum(p / g, g / p)
  log_ratio = jnp.log(p / g)
  log_sum = total(log_ratio)
  # The mean leaves first: E[e^2] - E[e]^2 cancels in float32.
  log_mean = log_sum / n
  log_scatter = total(jnp.square(log_ratio - log_mean[..., None, None]))
  log_squared = log_scatter + n * jnp.square(log_mean)
  squared = total(jnp.square(error))
  states = {
    'images': (pixels > 0).astype(jnp.int32),
    'pixels': pixels,
    'delta1': count(ratio < 1.25),
    'delta2': count(ratio < 1.25**2),
    'delta3': count(ratio < 1.25**3),
    'abs_rel': total(jnp.abs(error) / g),
    'sq_rel': total(jnp.square(error) / g),
    'log10': total(jnp.abs(log_ratio)) / np.log(10.0),
    'squared': squared,
    'log': log_sum,
    'log_squared': log_squared,
    'image_rmse': jnp.sqrt(squared / n),
    'image_rmse_log': jnp.sqrt(log_squared / n),
    'image_silog': 100.0 * jnp.sqrt(log_scatter / n),
  }
  return {**states, **{f'image_{key}': states[key] / n for key in _MEANS}}


def summarize_depth(states: Mapping[str, ArrayLike]) -> dict[str, float]:
  """Scores of summed states: means over images, and `pooled_*` over pixels.

  delta* in [0, 1], abs_rel a ratio, sq_rel and rmse in meters, silog times
  100; nan where nothing was counted.
  """
  images, pixels = float(states['images']), float(states['pixels'])
  if not pixels:
    names = (*SCORES, *(f'pooled_{name}' for name in SCORES))
    return dict.fromkeys(names, float('nan'))
  scores = {name: float(states[f'image_{name}']) / images for name in SCORES}
  for name in _MEANS:
    scores[f'pooled_{name}'] = float(states[name]) / pixels
  scores['pooled_rmse'] = float(np.sqrt(states['squared'] / pixels))
  log_squared = states['log_squared'] / pixels
  scores['pooled_rmse_log'] = float(np.sqrt(log_squared))
  variance = log_squared - (states['log'] / pixels) ** 2
  scores['pooled_silog'] = float(100.0 * np.sqrt(max(variance, 0.0)))
  return scores
