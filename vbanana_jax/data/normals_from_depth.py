"""Surface normals of a depth map, for sets that have none of their own.

On a plane n . P = c, with P = z ray, inverse depth 1 / z = (n . ray) / c is
linear in the pixel. So a line is fitted to inverse depth over a small window
by least squares, and its coefficients are the normal. A pixel lies in nine
such windows, in their middle, at their sides and corners. Its own is that in
the middle, unless another fits far better: then the middle one crosses an edge.
"""

import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from vbanana_jax import labels

_LEAST_SHARE = 0.5  # of a window's pixels, whose depth must be known
_BETTER = 0.5  # of the error of the middle window: then another one is taken
_FLAT = 1e-4  # relative error below which windows fit alike
_MOST_ERROR = 0.02  # relative, of the fit: above, no plane is seen


class _Fits(NamedTuple):
  """Planes of the windows around each pixel: d = a + b dx + c dy.

  `error` is the root mean square error over a; inf where there is no fit.
  """

  a: Float[np.ndarray, 'h w']
  b: Float[np.ndarray, 'h w']
  c: Float[np.ndarray, 'h w']
  error: Float[np.ndarray, 'h w']


def derive_normals(
  depth_m: Float[np.ndarray, 'h w'],
  camera: labels.Intrinsics,
  radius: int | None = None,
) -> Float[np.ndarray, 'h w 3']:
  """Unit normals, x right, y up, z to the viewer; zero where not known.

  Not known is where depth is not (NaN, 0 or the sky), where too little around
  it is, and where no window is nearly a plane, as on a wire.

  Args:
    depth_m: z-depth.
    camera: of these pixels.
    radius: of the windows, whose sides have 2 radius + 1 pixels. 1 suits
      depth without noise; the default, 1 for each 120 pixels of the shorter
      side, suits sensors.
  """
  if radius is None:
    radius = max(1, round(min(depth_m.shape) / 120))
  known = np.isfinite(depth_m) & (depth_m > 0)
  inverse = np.where(known, 1.0 / np.where(known, depth_m, 1.0), 0.0)
  fits = _fit_windows(inverse, known, radius)
  chosen, dx, dy = _choose_windows(fits, inverse, radius)
  height, width = depth_m.shape
  # From the window's middle, which lies at (x - dx, y - dy), to the axis.
  x = np.arange(width) + 0.5 - dx - camera.cx
  y = np.arange(height)[:, None] + 0.5 - dy - camera.cy
  ahead = chosen.a - chosen.b * x - chosen.c * y
  normals = np.stack([-chosen.b * camera.fx, chosen.c * camera.fy, ahead], -1)
  length = np.linalg.norm(normals, axis=-1, keepdims=True)
  normals = normals / np.where(length > 0, length, 1.0)
  is_plane = known & (chosen.error <= _MOST_ERROR)
  return np.where(is_plane[..., None], normals, 0.0).astype(np.float32)


def _fit_windows(
  inverse: Float[np.ndarray, 'h w'], known: Bool[np.ndarray, 'h w'], radius: int
) -> _Fits:
  """Least squares over the known pixels of every window."""
  offsets = np.arange(-radius, radius + 1.0)

  def moment(values, x_power, y_power):
    rows = _convolve(values, offsets**x_power, 1)
    return _convolve(rows, offsets**y_power, 0)

  weight = known.astype(np.float64)
  n, x, y = (moment(weight, *p) for p in ((0, 0), (1, 0), (0, 1)))
  xx, xy, yy = (moment(weight, *p) for p in ((2, 0), (1, 1), (0, 2)))
  right = [moment(inverse, *p) for p in ((0, 0), (1, 0), (0, 1))]
  square = moment(inverse**2, 0, 0)
  matrix = np.stack([n, x, y, x, xx, xy, y, xy, yy], -1)
  matrix = matrix.reshape(*known.shape, 3, 3)
  enough = n >= _LEAST_SHARE * len(offsets) ** 2
  enough &= np.linalg.det(matrix) > 1e-3 * np.maximum(n, 1.0) ** 3
  matrix[~enough] = np.eye(3)
  solved = np.linalg.solve(matrix, np.stack(right, -1)[..., None])[..., 0]
  a, b, c = np.moveaxis(solved, -1, 0)
  left = square - sum(k * m for k, m in zip((a, b, c), right))
  error = np.sqrt(np.maximum(left, 0.0) / np.maximum(n, 1.0))
  is_fit = enough & (a > 0)
  relative = np.where(is_fit, error / np.where(is_fit, a, 1.0), np.inf)
  return _Fits(a, b, c, relative)


def _choose_windows(
  fits: _Fits, inverse: Float[np.ndarray, 'h w'], radius: int
):
  """Each pixel's own window, and where in it the pixel lies."""
  zero = np.zeros_like(inverse)
  best, best_dx, best_dy = fits, zero, zero.copy()
  score = np.maximum(fits.error, _FLAT) * _BETTER
  for dx, dy in itertools.product((-radius, 0, radius), repeat=2):
    if dx == dy == 0:
      continue
    other = _Fits(
      *(_shift(leaf, dx, dy, 0.0) for leaf in fits[:3]),
      _shift(fits.error, dx, dy, np.inf),
    )
    value = np.maximum(other.error, _FLAT)
    # The pixel itself must lie on the plane of the window.
    plane = other.a + other.b * dx + other.c * dy
    value = np.where(
      np.abs(inverse - plane) <= _MOST_ERROR * inverse, value, np.inf
    )
    better = value < score
    score = np.where(better, value, score)
    best = _Fits(*(np.where(better, o, b) for o, b in zip(other, best)))
    best_dx = np.where(better, dx, best_dx)
    best_dy = np.where(better, dy, best_dy)
  return best, best_dx, best_dy


def _shift(values: Float[np.ndarray, 'h w'], dx: int, dy: int, beyond: float):
  """Values of the window whose middle lies at (x - dx, y - dy)."""
  height, width = values.shape
  pad = max(abs(dx), abs(dy))
  padded = np.pad(values, pad, constant_values=beyond)
  return padded[pad - dy : pad - dy + height, pad - dx : pad - dx + width]


def _convolve(
  values: Float[np.ndarray, 'h w'], kernel: Float[np.ndarray, 'k'], axis: int
) -> Float[np.ndarray, 'h w']:
  """Sum of kernel[k] times the value k - radius further on; 0 beyond."""
  radius = len(kernel) // 2
  padding = [(0, 0), (0, 0)]
  padding[axis] = (radius, radius)
  padded = np.pad(values, padding)
  length = values.shape[axis]
  return sum(
    weight * padded.take(range(k, k + length), axis)
    for k, weight in enumerate(kernel)
    if weight
  )
