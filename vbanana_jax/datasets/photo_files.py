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
    self.check_size(array.shape[:2], place)
    if array.shape[:2] == (self.frame.height, self.frame.width):
      return self.frame.make_upright(array)
    return array

  def check_size(self, shape: tuple[int, int], place: object) -> None:
    """Refuses a height and width that are not the photograph's, either way."""
    stored = (self.frame.height, self.frame.width)
    if tuple(shape) not in (stored, self.frame.upright):
      raise UserError(
        f'{place}: {shape[1]} x {shape[0]} pixels, and {self.path.name} has '
        f'{stored[1]} x {stored[0]}: one of them was resized: get both from '
        'the same place'
      )


def load_photo(path: pathlib.Path) -> PhotoFile:
  """The file of a photograph, whose pixels are not decoded.

  Raises:
    UserError: names the file: missing, too large, or no picture.
  """
  encoded = files.load_bytes(path)
  return PhotoFile(path, encoded, photos.read_frame(encoded, str(path)))
