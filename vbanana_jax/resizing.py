"""Decoded values brought to another size; never the colors they came from.

Half-way between two colors lies a third label or a false depth. Traced code
does the same by `Tables` of both sizes: `take_nearest` and `mix`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped, UInt8
from PIL import Image


def fit_within(shape: tuple[int, int], edge: int) -> tuple[int, int]:
  """A shape of that aspect whose long edge is at most `edge`."""
  scale = min(1.0, edge / max(shape))
  height, width = (max(1, round(scale * n)) for n in shape)
  return height, width


def resize_depth(
  depth_m: Float[np.ndarray, 'h w'], shape: tuple[int, int]
) -> Float[np.ndarray, 'oh ow']:
  """Bilinear among finite meters; sky where the nearest pixel is sky."""
  finite = np.isfinite(depth_m)
  total = _bilinear(np.where(finite, depth_m, 0.0), shape)
  weight = _bilinear(finite, shape)
  nearest = resize_labels(finite.astype(np.int32), shape) > 0
  resized = total / np.where(nearest, np.maximum(weight, 1e-6), 1.0)
  return np.where(nearest, resized, np.inf).astype(np.float32)


def resize_normals(
  normals: Float[np.ndarray, 'h w 3'], shape: tuple[int, int]
) -> Float[np.ndarray, 'oh ow 3']:
  """Bilinear, then unit length again; zero where the nearest pixel is zero."""
  smooth = resize_colors(normals, shape)
  length = np.linalg.norm(smooth, axis=-1, keepdims=True)
  unit = smooth / np.maximum(length, 1e-6)
  nearest = resize_nearest(np.any(normals != 0.0, axis=-1), shape)
  return np.where(nearest[..., None], unit, 0.0).astype(np.float32)


def resize_colors(
  values: Float[np.ndarray, 'h w 3'], shape: tuple[int, int]
) -> Float[np.ndarray, 'oh ow 3']:
  """Bilinear, each channel for itself."""
  channels = [_bilinear(values[..., i], shape) for i in range(3)]
  return np.stack(channels, -1)


def resize_labels(
  labels: Int[np.ndarray, 'h w'], shape: tuple[int, int]
) -> Int[np.ndarray, 'oh ow']:
  """Nearest: a label between two labels is a third one."""
  return resize_nearest(labels, shape).astype(np.int32)


def resize_nearest(
  values: Shaped[np.ndarray, 'h w *c'], shape: tuple[int, int]
) -> Shaped[np.ndarray, 'oh ow *c']:
  """The value whose pixel holds each new pixel's center; nothing is mixed."""
  rows = _nearest(values.shape[0], shape[0])
  columns = _nearest(values.shape[1], shape[1])
  return np.ascontiguousarray(values[rows][:, columns])


def resize_picture(
  picture_u8: UInt8[np.ndarray, 'h w 3'], shape: tuple[int, int]
) -> UInt8[np.ndarray, 'oh ow 3']:
  """Bicubic, anti-aliased: for photographs and pictures to look at."""
  image = Image.fromarray(picture_u8)
  return np.asarray(image.resize(shape[::-1], Image.Resampling.BICUBIC))


class Tables(NamedTuple):
  """How one size [h w] is brought to another [n p], both maybe padded.

  Attributes:
    rows: the nearest row.
    columns: the nearest column.
    row_weights: how much of each row is mixed; None where nothing is.
    column_weights: likewise.
  """

  rows: Int[np.ndarray, 'n']
  columns: Int[np.ndarray, 'p']
  row_weights: Float[np.ndarray, 'n h'] | None = None
  column_weights: Float[np.ndarray, 'p w'] | None = None


def make_tables(
  old: tuple[int, int],
  new: tuple[int, int],
  padded_old: tuple[int, int],
  padded_new: tuple[int, int],
  *,
  is_smooth: bool,
) -> Tables:
  """Tables from `old` to `new`; the padding of `new` is not to be looked at."""
  sizes = list(zip(old, new, padded_old, padded_new))
  nearest = [
    np.pad(_nearest(h, i).astype(np.int32), (0, end - i))
    for h, i, _, end in sizes
  ]
  return Tables(*nearest, *(_weigh(*each) for each in sizes if is_smooth))


def take_nearest(
  values: Shaped[Array, 'h w *c'], tables: Tables
) -> Shaped[Array, 'n p *c']:
  """As `resize_nearest`, traced."""
  return values[tables.rows][:, tables.columns]


def mix(
  values: Float[Array, 'h w *c'], tables: Tables
) -> Float[Array, 'n p *c']:
  """Bilinear, traced; Pillow's, which sums in float64, but for last digits."""
  rows, columns = tables.row_weights, tables.column_weights
  exact = jax.lax.Precision.HIGHEST
  return jnp.einsum(
    'ih,hw...,jw->ij...', rows, values, columns, precision=exact
  )


def _weigh(old: int, new: int, padded_old: int, padded_new: int):
  """Pillow's BILINEAR: triangles as wide as a pixel of the coarser size."""
  scale = old / new
  centers = (np.arange(new)[:, None] + 0.5) * scale
  away = np.abs(np.arange(old) + 0.5 - centers) / max(scale, 1.0)
  weight = np.maximum(1.0 - away, 0.0)
  weight /= weight.sum(1, keepdims=True)
  ends = (0, padded_new - new), (0, padded_old - old)
  return np.pad(weight.astype(np.float32), ends)


def _nearest(old: int, new: int):
  return ((np.arange(new) + 0.5) * old / new).astype(int)


def _bilinear(values, shape):
  plane = Image.fromarray(np.asarray(values, np.float32))
  resized = plane.resize(shape[::-1], Image.Resampling.BILINEAR)
  return np.asarray(resized, np.float32)
