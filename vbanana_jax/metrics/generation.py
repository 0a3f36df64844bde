"""Sets of pictures, painted and real, compared in a space of features.

Everything here but `features` takes features of any net: a result carries the
name of its space, as `fd_random_conv`. Only distances of Inception features
are called FID elsewhere, so nothing here is.

The space `random_conv` is a small convolutional net with fixed random
weights: it needs no download, sees texture and color, and is comparable only
with itself. For photographs there is the space of `metrics/efficientnet.py`.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from vbanana_jax.metrics import bootstrap

FEATURE_WIDTHS = (8, 12, 12)
FEATURES = sum(FEATURE_WIDTHS)
NEIGHBORS = 3  # of precision and recall
NEIGHBORS_WIDE = 5  # of density and coverage
# Numbers held at once where all pairs are compared.
_BLOCK = 2**18


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
  """Features of each example, and what `moments` needs once summed."""
  x = features(rgb)
  valid = jnp.broadcast_to(jnp.asarray(valid), x.shape[:1])
  x = jnp.where(valid[:, None], x, 0.0)
  return {
    'feature_count': valid.astype(jnp.int32),
    'features': x,
    'feature_outer': x[:, :, None] * x[:, None, :],
  }


def moments(states: Mapping[str, ArrayLike]) -> tuple[np.ndarray, np.ndarray]:
  """Mean and unbiased covariance (float64) of summed `feature_states`.

  Raises ValueError for fewer than two pictures.
  """
  n = int(states['feature_count'])
  if n < 2:
    raise ValueError(f'a covariance needs at least 2 pictures, not {n}')
  mean = np.asarray(states['features'], np.float64) / n
  outer = np.asarray(states['feature_outer'], np.float64)
  return mean, (outer - n * np.outer(mean, mean)) / (n - 1)


def frechet(
  mean_a: np.ndarray, cov_a: np.ndarray, mean_b: np.ndarray, cov_b: np.ndarray
) -> float:
  """Frechet distance of two Gaussians, in float64 on the host.

  Biased in the number of samples: compare only equal numbers. nan where a
  moment is not finite.

  Source: Dowson and Landau 1982, in the symmetric form
  |m|^2 + tr A + tr B - 2 tr (A^1/2 B A^1/2)^1/2.
  """
  if not all(np.isfinite(x).all() for x in (mean_a, cov_a, mean_b, cov_b)):
    return float('nan')
  values, vectors = np.linalg.eigh(np.asarray(cov_a, np.float64))
  root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
  shared = np.linalg.eigvalsh(root @ np.asarray(cov_b, np.float64) @ root)
  cross = np.sqrt(np.maximum(shared, 0.0)).sum()
  apart = np.sum(np.square(np.asarray(mean_a) - np.asarray(mean_b)))
  return float(apart + np.trace(cov_a) + np.trace(cov_b) - 2.0 * cross)


def frechet_of(
  real: Float[np.ndarray, 'n d'], painted: Float[np.ndarray, 'm d']
) -> float:
  """`frechet` of features, one row a picture; nan for fewer than two."""
  if min(len(real), len(painted)) < 2:
    return float('nan')
  real, painted = real.astype(np.float64), painted.astype(np.float64)
  a, b = (
    (side - side.mean(0)) / np.sqrt(len(side) - 1) for side in (real, painted)
  )
  if max(len(a), len(b)) > a.shape[1]:
    return frechet(real.mean(0), a.T @ a, painted.mean(0), b.T @ b)
  # Of fewer pictures than features: tr (A^1/2 B A^1/2)^1/2 is the sum of the
  # singular values of a b^T, where A = a^T a and B = b^T b.
  if not (np.isfinite(a).all() and np.isfinite(b).all()):
    return float('nan')
  cross = np.linalg.svd(a @ b.T, compute_uv=False).sum()
  apart = np.square(real.mean(0) - painted.mean(0)).sum()
  spread = np.square(a).sum() + np.square(b).sum()
  return float(apart + spread - 2.0 * cross)


def _kernel_sum(a, b) -> float:
  """Sum of ((x.y)/d + 1)^3 over all pairs."""
  rows = max(1, _BLOCK // max(len(b), 1))
  return sum(
    float(np.sum((a[i : i + rows] @ b.T / a.shape[1] + 1.0) ** 3))
    for i in range(0, len(a), rows)
  )


def _own_kernel_sum(a) -> float:
  """As `_kernel_sum`, without the pairs of a picture with itself."""
  own = np.square(a).sum(1) / a.shape[1] + 1.0
  return _kernel_sum(a, a) - float(np.sum(own**3))


def kid(
  real: Float[np.ndarray, 'n d'],
  painted: Float[np.ndarray, 'm d'],
  *,
  rng: np.random.Generator | None = None,
  subsets: int = 100,
  subset_size: int = 1000,
) -> float:
  """Squared kernel distance of features, in float64; nan for fewer than two.

  Of all pictures, or with an `rng` the mean over random subsets, of at most
  `subset_size` pictures a side. Unbiased, so it may be below 0.

  Source: Binkowski et al. 2018 (MMD^2 of the kernel ((x.y)/d + 1)^3).
  """
  real, painted = real.astype(np.float64), painted.astype(np.float64)
  n, m = len(real), len(painted)
  if min(n, m) < 2:
    return float('nan')
  if rng is not None:
    size = min(n, m, subset_size)
    draws = (
      kid(
        real[rng.choice(n, size, replace=False)],
        painted[rng.choice(m, size, replace=False)],
      )
      for _ in range(subsets)
    )
    return float(np.mean(list(draws)))
  own = _own_kernel_sum(real) / (n * (n - 1))
  own += _own_kernel_sum(painted) / (m * (m - 1))
  return own - 2.0 * _kernel_sum(real, painted) / (n * m)


def kid_interval(
  real: Float[np.ndarray, 'n d'],
  painted: Float[np.ndarray, 'm d'],
  rng: np.random.Generator,
  *,
  resamples: int = bootstrap.RESAMPLES,
) -> tuple[float, float]:
  """95 % bootstrap interval of `kid`; nan for fewer than two on a side.

  Pictures of each side are drawn with return. One that is drawn twice is no
  pair with itself, which would be nearer than any two of its set.
  """
  if min(len(real), len(painted)) < 2:
    return float('nan'), float('nan')
  real, painted = real.astype(np.float64), painted.astype(np.float64)
  weights = [
    rng.multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)
    for n in (len(real), len(painted))
  ]
  draws = -2.0 * _mean_kernels(real, painted, *weights)
  for side, weight in zip((real, painted), weights):
    draws = draws + _mean_kernels(side, side, weight, weight, own=True)
  return bootstrap.find_interval(draws)


def _mean_kernels(a, b, weights_a, weights_b, *, own=False):
  """Mean of ((x.y)/d + 1)^3 over pairs that count as often as their pictures.

  Weights are [r n] and [r m], the means [r]. With `own`, a and b are one set,
  and a picture and itself are no pair.
  """
  total = np.zeros(len(weights_a))
  rows = max(1, _BLOCK // max(len(b), 1))
  for i in range(0, len(a), rows):
    kernel = (a[i : i + rows] @ b.T / a.shape[1] + 1.0) ** 3
    if own:
      itself = np.arange(len(kernel))
      kernel[itself, i + itself] = 0.0
    total += np.sum(weights_a[:, i : i + rows] * (weights_b @ kernel.T), axis=1)
  pairs = weights_a.sum(1) * weights_b.sum(1)
  if own:
    pairs -= np.square(weights_a).sum(1)
  nothing = np.full_like(total, np.nan)  # one picture, drawn every time
  return np.divide(total, pairs, out=nothing, where=pairs > 0)


def _squared_distances(a, b):
  """Blocks of rows of |x - y|^2 [n m]: differences, so that x = y gives 0."""
  rows = max(1, _BLOCK // max(len(b), 1))
  for i in range(0, len(a), rows):
    columns = zip(a[i : i + rows].T, b.T)
    yield sum(np.square(x[:, None] - y) for x, y in columns)


def _radii(points, k):
  """Squared distance of every point to its k-th neighbor."""
  # Itself, at 0, is the first of the sorted row.
  blocks = _squared_distances(points, points)
  return np.concatenate([np.partition(x, k, axis=1)[:, k] for x in blocks])


def prdc(
  real: Float[np.ndarray, 'n d'], painted: Float[np.ndarray, 'm d'], *, k: int
) -> dict[str, float]:
  """precision, recall, density and coverage with balls of k neighbors.

  A ball reaches to the k-th nearest other picture of its side, that one
  included. All nan unless both sides have more than `k` pictures, all of
  finite features.

  Source: Kynkaanniemi et al. 2019; Naeem et al. 2020.
  """
  names = ('precision', 'recall', 'density', 'coverage')
  finite = np.isfinite(real).all() and np.isfinite(painted).all()
  if min(len(real), len(painted)) <= k or not finite:
    return dict.fromkeys(names, float('nan'))
  real, painted = real.astype(np.float64), painted.astype(np.float64)
  real_radius, painted_radius = _radii(real, k), _radii(painted, k)
  around = np.zeros(len(painted), int)  # real balls about each painted picture
  recalled, covered, done = 0, 0, 0
  for block in _squared_distances(real, painted):
    radius = real_radius[done : done + len(block)]
    done += len(block)
    around += (block <= radius[:, None]).sum(0)
    recalled += int((block <= painted_radius).any(1).sum())
    covered += int((block.min(1) <= radius).sum())
  return {
    'precision': float(np.mean(around > 0)),
    'recall': recalled / len(real),
    'density': float(np.mean(around)) / k,
    'coverage': covered / len(real),
  }


def compare_features(
  real: Float[np.ndarray, 'n d'],
  painted: Float[np.ndarray, 'm d'],
  *,
  space: str,
) -> dict[str, float]:
  """All of the above, named after the space: fd_SPACE, kid_SPACE, ...

  precision and recall with 3 neighbors, density and coverage with 5. Compare
  only equal numbers of pictures. nan where a side has too few.
  """
  near = prdc(real, painted, k=NEIGHBORS)
  wide = prdc(real, painted, k=NEIGHBORS_WIDE)
  table = {
    'fd': frechet_of(real, painted),
    'kid': kid(real, painted),
    'precision': near['precision'],
    'recall': near['recall'],
    'density': wide['density'],
    'coverage': wide['coverage'],
  }
  return {f'{name}_{space}': value for name, value in table.items()}
