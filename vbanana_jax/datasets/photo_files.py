"""A photograph's file, and labels that were made for it, upright."""

import pathlib
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped

from vbanana_jax.benchmark.readers import files
from vbanana_jax.data import photos
from vbanana_jax.errors import UserError


class PhotoFile(NamedTuple):
  """A photograph as it came.

  Attributes:
    path: of the file.
    encoded: its bytes.
    frame: its size and turn, from its header.
  """

  path: pathlib.Path
  encoded: bytes
  frame: photos.Frame

  def fit(
    self, array: Shaped[np.ndarray, 'h w ...'], place: object
  ) -> Shaped[np.ndarray, 'h2 w2 ...']:
    """Labels of this photograph, of its upright size.

    Labels of the stored pixels are turned as EXIF turns the photograph; those
    that have the size of the upright one are taken as they are.

    Args:
      array: labels.
      place: their file, for errors.

    Raises:
      UserError: they have another size than the photograph.
    """
    if array.shape[:2] == (self.frame.height, self.frame.width):
      return self.frame.make_upright(array)
    if array.shape[:2] == self.frame.upright:
      return array
    height, width = array.shape[:2]
    raise UserError(
      f'{place}: {width} x {height} pixels, and {self.path.name} has '
      f'{self.frame.width} x {self.frame.height}: one of them was resized: get '
      'both from the same place'
    )


def load_photo(path: pathlib.Path) -> PhotoFile:
  """The file of a photograph, whose pixels are not decoded.

  Raises:
    UserError: names the file: missing, too large, or no picture.
  """
  encoded = files.load_bytes(path)
  return PhotoFile(path, encoded, photos.read_frame(encoded, str(path)))
