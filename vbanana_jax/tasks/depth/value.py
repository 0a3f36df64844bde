"""Depths as numbers: meters, drawn in even steps of their logarithm."""

from typing import ClassVar

import numpy as np

from vbanana_jax import resizing
from vbanana_jax.drawing import pictures
from vbanana_jax.tasks.value import Value

_SAME_RATIO = 1.25  # depths nearer than this factor agree, as in delta1


class DepthMap(Value):
  """float32 [h w] meters; inf is sky."""

  viewer: ClassVar[str] = 'meters'

  def resize(self, value, shape):
    return resizing.resize_depth(value, shape)

  def draw(self, value, photo_u8, palette_u8, scale):
    del photo_u8, palette_u8
    return pictures.draw_depth(value, scale)

  def draw_error(self, value, truth, valid_px):
    truth_m = np.where(valid_px, truth, np.nan)
    return pictures.draw_depth_error(value, truth_m)

  def list_error_colors(self):
    most = pictures.MAX_RELATIVE_ERROR
    return pictures.list_ramp((0.0, most), lambda x: f'{x:.0%} off')

  def find_scale(self, value):
    return pictures.depth_range_m(value)

  def describe_scale(self, scale):
    return f'decoded, {scale[0]:.1f} to {scale[1]:.1f} m'

  def list_colors(self, value, palette_u8, names, scale):
    del value, palette_u8, names
    return pictures.list_depth_colors(scale)

  def finish(self, picture, value, palette_u8, names, scale):
    del value, palette_u8, names
    return pictures.with_scale(picture, scale)

  def combine(self, passes):
    """The median of each pixel.

    Where the two middle ones are a depth and the sky, the depth.
    """
    ordered = np.sort(passes, axis=0)
    low = ordered[(len(passes) - 1) // 2]
    high = ordered[len(passes) // 2]
    return np.where(np.isfinite(high), low / 2 + high / 2, low)

  def agree(self, passes, voted):
    """Depths within a factor of 1.25, or both infinite."""
    near, far = np.minimum(passes, voted), np.maximum(passes, voted)
    return (near == far) | ((far < _SAME_RATIO * near) & np.isfinite(far))


DEPTH_M = DepthMap(
  'depth_m', 'float32 meters along the optical axis; inf is sky'
)
