"""Reference pictures as klein was trained with them: capped, then cropped."""

import math

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from vbanana_jax import models
from vbanana_jax.errors import UserError

_LEAST_SIDE = 64
_MOST_ASPECT = 8
_MOST_PIXELS = 1024 * 1024


def plan_reference(
  size: tuple[int, int], token_px: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
  """To which size a reference is scaled, and then cropped around its middle.

  Args:
    size: height and width in pixels.
    token_px: rows and columns of pixels of one token.

  Raises:
    UserError: it is too small or too long.
  """
  height, width = size
  if min(size) < _LEAST_SIDE or max(size) > _MOST_ASPECT * min(size):
    raise UserError(
      f'a reference picture of {height}x{width} pixels: take one with sides '
      f'of at least {_LEAST_SIDE}, the longer at most {_MOST_ASPECT} times the '
      'shorter'
    )
  if height * width > _MOST_PIXELS:
    scale = math.sqrt(_MOST_PIXELS / (height * width))
    height, width = int(height * scale), int(width * scale)
  rows, columns = token_px
  return (height, width), (height // rows * rows, width // columns * columns)


def prepare_reference(
  picture_u8: UInt8[np.ndarray, 'h w 3'], token_px: tuple[int, int]
) -> Float32[np.ndarray, 'y x 3']:
  """A picture in network units, [-1, 1], of a size that divides into tokens.

  Raises:
    UserError: it is too small or too long.
  """
  size = picture_u8.shape[:2]
  (height, width), (rows, columns) = plan_reference(size, token_px)
  picture = Image.fromarray(picture_u8)
  if (height, width) != size:
    picture = picture.resize((width, height), Image.Resampling.LANCZOS)
  top, left = (height - rows) // 2, (width - columns) // 2
  cropped = np.asarray(picture)[top : top + rows, left : left + columns]
  return models.to_network(cropped.astype(np.float32) / 255)
