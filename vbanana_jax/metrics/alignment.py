"""Depth aligned to the truth, image by image: for relative depth only.

An alignment uses the answer, so its scores are no metric ones: their names
begin with `aligned_` and the kind of alignment.
"""

from collections.abc import Mapping

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from vbanana_jax.metrics import depth
from vbanana_jax.metrics.sums import sum_pixels


def fit_median(
  prediction_m: Float[Array, 'b h w'],
  truth_m: Float[Array, 'b h w'],
  counted: Bool[Array, 'b h w'],
) -> tuple[Float[Array, 'b'], Float[Array, 'b']]:
  """Scale that makes the medians of the counted pixels equal; no shift.

  Source: Zhou et al. 2017, section 4.1.
  """
  pixels = counted.sum(axis=(-2, -1))

  def median(x):
    x = jnp.where(counted, x, jnp.inf)
    x = jnp.sort(x.reshape(len(x), x.shape[1] * x.shape[2]), axis=-1)
    middle = jnp.stack([pixels - 1, pixels], axis=-1) // 2
    middle = jnp.maximum(middle, 0)
    return jnp.take_along_axis(x, middle, axis=-1).mean(axis=-1)

  scale = median(truth_m) / median(prediction_m)
  return jnp.where(pixels > 0, scale, 1.0), jnp.zeros_like(scale)


def fit_least_squares(
  prediction_m: Float[Array, 'b h w'],
  truth_m: Float[Array, 'b h w'],
  counted: Bool[Array, 'b h w'],
) -> tuple[Float[Array, 'b'], Float[Array, 'b']]:
  """Scale and shift of least squared error; a flat prediction is only moved.

  Source: Ranftl et al. 2020 (MiDaS), equation 3, on depth as in Marigold.
  """
  pixels = jnp.maximum(counted.sum(axis=(-2, -1)), 1).astype(jnp.float32)

  def mean(x):
    return sum_pixels(jnp.where(counted, x, 0.0)) / pixels

  p_mean, g_mean = mean(prediction_m), mean(truth_m)
  # The means leave first: the normal equations cancel in float32.
  p = prediction_m - p_mean[:, None, None]
  g = truth_m - g_mean[:, None, None]
  variance = mean(jnp.square(p))
  scale = mean(p * g) / jnp.where(variance > 0, variance, 1.0)
  return scale, g_mean - scale * p_mean


def fit_relative(
  prediction_m: Float[Array, 'b h w'],
  truth_m: Float[Array, 'b h w'],
  counted: Bool[Array, 'b h w'],
) -> tuple[Float[Array, 'b'], Float[Array, 'b']]:
  """Scale of least squared relative error, sum((s p - g)^2 / g^2); no shift.

  Source: the weights of 1 / g of MoGe's scale-invariant scores.
  """
  ratio = prediction_m / jnp.where(counted, truth_m, 1.0)
  ratio = jnp.where(counted, ratio, 0.0)
  squared = sum_pixels(jnp.square(ratio))
  scale = sum_pixels(ratio) / jnp.where(squared > 0, squared, 1.0)
  return scale, jnp.zeros_like(scale)


FITS = {
  'median': fit_median,
  'lstsq': fit_least_squares,
  'relative': fit_relative,
}


def aligned_depth_states(
  prediction_m: Float[ArrayLike, 'b h w'],
  truth_m: Float[ArrayLike, 'b h w'],
  *,
  alignment: str,
  near_m: ArrayLike = depth.NEAREST_M,
  cap_m: ArrayLike = 80.0,
  clamp_m: tuple[ArrayLike, ArrayLike] | None = None,
  where: Bool[ArrayLike, '... h w'] | bool = True,
  valid: Bool[ArrayLike, 'b'] | bool = True,
) -> dict[str, Array]:
  """`depth.depth_states` after an `alignment`: 'median', 'lstsq', 'relative'.

  The prediction is clamped to `clamp_m`, fitted to the truth on the pixels
  that count, and clamped again.
  Keys are those of `depth_states`, behind `aligned_{alignment}_`.
  """
  if clamp_m is None:
    clamp_m = (depth.NEAREST_M, cap_m)
  options = {'near_m': near_m, 'cap_m': cap_m, 'where': where, 'valid': valid}
  counted = depth.is_measured(truth_m, **options)
  p = depth.clamp(prediction_m, clamp_m)
  g = jnp.where(counted, jnp.asarray(truth_m, jnp.float32), 0.0)
  scale, shift = FITS[alignment](p, g, counted)
  states = depth.depth_states(
    scale[:, None, None] * p + shift[:, None, None],
    truth_m,
    clamp_m=clamp_m,
    **options,
  )
  return {f'aligned_{alignment}_{key}': x for key, x in states.items()}


def summarize_aligned_depth(
  states: Mapping[str, ArrayLike], *, alignment: str
) -> dict[str, float]:
  """Scores as of `depth.summarize_depth`, behind `aligned_{alignment}_`."""
  prefix = f'aligned_{alignment}_'
  scores = depth.summarize_depth(
    {
      key.removeprefix(prefix): value
      for key, value in states.items()
      if key.startswith(prefix)
    }
  )
  return {prefix + name: score for name, score in scores.items()}
