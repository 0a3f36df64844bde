"""Pictures: absolute error, PSNR, and a Frechet distance of random features.

The feature space is a small convolutional net with fixed random weights: it
needs no download, sees texture and colour, and is comparable only with itself.
Name it FD-random-conv, never FID.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

FEATURE_WIDTHS = (8, 12, 12)
FEATURES = sum(FEATURE_WIDTHS)

# Equal pictures have no finite PSNR; this floor of the squared error is 100.
_LEAST_SQUARED = 1e-10


def image_states(
  prediction: Float[ArrayLike, 'b h w 3'],
  truth: Float[ArrayLike, 'b h w 3'],
  *,
  where: Bool[ArrayLike, 'b h w'] | bool = True,
  valid: Bool[ArrayLike, 'b'] | bool = True,
) -> dict[str, Array]:
  """Absolute error and PSNR an example, RGB in [0, 1]."""
  counted = jnp.asarray(where) & jnp.asarray(valid)[..., None, None]
  counted = jnp.broadcast_to(counted, prediction.shape[:-1])
  error = jnp.where(counted[..., None], prediction - truth, 0.0)
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


def _kernels():
  """Random 3x3 kernels, the same for ever: RandomState's stream is frozen."""
  random = np.random.RandomState(0)
  channels = 3
  for width in FEATURE_WIDTHS:
    kernel = random.standard_normal((3, 3, channels, width))
    yield (kernel * np.sqrt(2 / (9 * channels))).astype(np.float32)
    channels = width


def features(rgb: Float[ArrayLike, 'b h w 3']) -> Float[Array, 'b 32']:
  """Mean activations of three stride-2 layers, for pictures of one size."""
  x = 2.0 * jnp.asarray(rgb, jnp.float32) - 1.0
  pooled = []
  for kernel in _kernels():
    x = jax.lax.conv_general_dilated(
      x,
      jnp.asarray(kernel),
      window_strides=(2, 2),
      padding='SAME',
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
      precision=jax.lax.Precision.HIGHEST,
    )
    x = jax.nn.relu(x)
    pooled.append(x.mean(axis=(1, 2)))
  return jnp.concatenate(pooled, axis=-1)


def feature_states(
  rgb: Float[ArrayLike, 'b h w 3'], *, valid: Bool[ArrayLike, 'b'] | bool = True
) -> dict[str, Array]:
  """Moments of the features an example; see `moments`."""
  x = features(rgb)
  valid = jnp.broadcast_to(jnp.asarray(valid), x.shape[:1])
  x = jnp.where(valid[:, None], x, 0.0)
  return {
    'feature_count': valid.astype(jnp.int32),
    'feature_sum': x,
    'feature_outer': x[:, :, None] * x[:, None, :],
  }


def moments(states: Mapping[str, ArrayLike]) -> tuple[np.ndarray, np.ndarray]:
  """Mean and unbiased covariance (float64) of summed `feature_states`.

  Raises ValueError for fewer than two pictures.
  """
  n = int(states['feature_count'])
  if n < 2:
    raise ValueError(f'a covariance needs at least 2 pictures, not {n}')
  mean = np.asarray(states['feature_sum'], np.float64) / n
  outer = np.asarray(states['feature_outer'], np.float64)
  return mean, (outer - n * np.outer(mean, mean)) / (n - 1)


def frechet(
  mean_a: np.ndarray, cov_a: np.ndarray, mean_b: np.ndarray, cov_b: np.ndarray
) -> float:
  """Frechet distance of two Gaussians, in float64 on the host.

  Biased in the number of samples: compare only equal numbers.

  Source: Dowson and Landau 1982, in the symmetric form
  |m|^2 + tr A + tr B - 2 tr (A^1/2 B A^1/2)^1/2.
  """
  values, vectors = np.linalg.eigh(np.asarray(cov_a, np.float64))
  root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
  shared = np.linalg.eigvalsh(root @ np.asarray(cov_b, np.float64) @ root)
  cross = np.sqrt(np.maximum(shared, 0.0)).sum()
  apart = np.sum(np.square(np.asarray(mean_a) - np.asarray(mean_b)))
  return float(apart + np.trace(cov_a) + np.trace(cov_b) - 2.0 * cross)
