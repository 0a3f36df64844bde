"""Normals as numbers: unit vectors, drawn in the colors of the codec."""

from typing import ClassVar

import numpy as np

from vbanana_jax import resizing
from vbanana_jax.drawing import pictures
from vbanana_jax.tasks.value import Value

_SAME_DEG = 11.25  # normals within this angle agree
_MOST_BARE = 0.01  # of a picture; edges and noise take less


class NormalMap(Value):
  """float32 [h w 3], unit; 0 where there is none."""

  viewer: ClassVar[str] = 'directions'

  def describe(self, value):
    bare = ~np.any(value, axis=-1)
    return {'no_surface_share': float(bare.mean())}

  def tell(self, value, names):
    del names
    bare = self.describe(value)['no_surface_share']
    if bare <= _MOST_BARE:
      return None
    return f'{bare:.1%} of it is painted in colors of no direction: no surface'

  def resize(self, value, shape):
    return resizing.resize_normals(value, shape)

  def draw(self, value, photo_u8, palette_u8, scale):
    del photo_u8, palette_u8, scale
    return pictures.draw_normals(value)

  def draw_error(self, value, truth, valid_px):
    return pictures.draw_normals_error(value, truth * valid_px[..., None])

  def list_error_colors(self):
    most = pictures.MAX_ANGLE_DEG
    return pictures.list_ramp((0.0, most), lambda x: f'{x:g}° off')

  def list_colors(self, value, palette_u8, names, scale):
    del value, palette_u8, names, scale
    return pictures.list_normal_colors()

  def combine(self, passes):
    """The mean, made unit again. Where it vanishes, the first pass."""
    mean = passes.mean(axis=0, dtype=np.float64)
    length = np.linalg.norm(mean, axis=-1, keepdims=True)
    is_sure = length > 1e-6
    return np.where(is_sure, mean / np.where(is_sure, length, 1.0), passes[0])

  def agree(self, passes, voted):
    """Within 11.25 degrees."""
    # Of unit vectors, and of two zeros: the chord is 2 sin(angle / 2).
    chord = np.linalg.norm(passes.astype(np.float64) - voted, axis=-1)
    return chord <= 2 * np.sin(np.deg2rad(_SAME_DEG) / 2)


NORMALS = NormalMap(
  'normals',
  'float32 unit vectors: x right, y up, z to the viewer; zero where there is '
  'no surface',
)
