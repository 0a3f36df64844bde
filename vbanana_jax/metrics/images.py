"""Pictures against the one right picture: absolute error and PSNR."""

from collections.abc import Mapping

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

# Equal pictures have no finite PSNR; this floor of the squared error is 100.
_LEAST_SQUARED = 1e-10


def image_states(
  prediction: Float[ArrayLike, 'b h w 3'],
  truth: Float[ArrayLike, 'b h w 3'],
  *,
  where: Bool[ArrayLike, 'b h w'] | bool = True,
  valid: Bool[ArrayLike, 'b'] | bool = True,
) -> dict[str, Array]:
  """Absolute error and PSNR an example, RGB in [0, 1].

  Pixels count where the truth is finite and `where`, in rows that are `valid`;
  a predicted value that is not finite is 1 off.
  """
  prediction = jnp.asarray(prediction, jnp.float32)
  truth = jnp.asarray(truth, jnp.float32)
  counted = jnp.isfinite(truth).all(axis=-1) & where
  counted &= jnp.asarray(valid)[..., None, None]
  error = jnp.where(jnp.isfinite(prediction), prediction - truth, 1.0)
  error = jnp.where(counted[..., None], error, 0.0)
  pixels = counted.sum(axis=(-2, -1), dtype=jnp.int32)
  values = 3.0 * jnp.maximum(pixels, 1)
  mae = jnp.abs(error).sum(axis=(-3, -2, -1)) / values
  mse = jnp.square(error).sum(axis=(-3, -2, -1)) / values
  psnr = -10.0 * jnp.log10(jnp.maximum(mse, _LEAST_SQUARED))
  return {
    'images': (pixels > 0).astype(jnp.int32),
    'mae': mae,
    'psnr': jnp.where(pixels > 0, psnr, 0.0),
  }


def summarize_images(states: Mapping[str, ArrayLike]) -> dict[str, float]:
  """mae in [0, 1] and psnr in dB (at most 100): means over images."""
  images = float(states['images'])
  if not images:
    return {'mae': float('nan'), 'psnr': float('nan')}
  return {name: float(states[name]) / images for name in ('mae', 'psnr')}
