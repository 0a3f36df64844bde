"""Base colors as numbers: what is painted is what is meant."""

import numpy as np

from vbanana_jax import resizing
from vbanana_jax.drawing import pictures
from vbanana_jax.tasks.value import Value

_SAME = 0.1  # channels nearer than this agree
_MAX_ERROR = 0.25  # the bright end of the error map


class BaseColors(Value):
  """float32 [h w 3] in [0, 1]."""

  def resize(self, value, shape):
    return resizing.resize_colors(value, shape)

  def draw(self, value, photo_u8, palette_u8, scale):
    del photo_u8, palette_u8, scale
    return pictures.to_u8(value)

  def draw_error(self, value, truth, valid_px):
    error = np.abs(np.asarray(value) - truth).mean(-1)
    picture = pictures.ramp(error / _MAX_ERROR)
    picture[~valid_px] = pictures.NOTHING
    return picture

  def list_error_colors(self):
    return pictures.list_ramp((0.0, _MAX_ERROR), lambda x: f'{x:.0%} off')

  def combine(self, passes):
    """The median of each channel of each pixel."""
    return np.median(passes, axis=0)

  def agree(self, passes, voted):
    """All channels within 0.1."""
    return np.abs(passes - voted).max(-1) <= _SAME


ALBEDO = BaseColors(
  'albedo', 'float32 red, green and blue in [0, 1] of surfaces without light'
)
