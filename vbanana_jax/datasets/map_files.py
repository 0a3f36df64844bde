"""Files of one value or one vector a pixel, as stored: PNG, TIFF, .npy."""

import pathlib

import numpy as np
from jaxtyping import Float32, Shaped
from PIL import Image

from vbanana_jax.benchmark.readers import files
from vbanana_jax.data import image_formats, photos
from vbanana_jax.errors import UserError

SUFFIXES = ('.png', '.npy', '.tif', '.tiff')
_TIFF_MODES = ('L', 'I', 'F', 'I;16', 'I;16B', 'I;16L', 'I;16N')


def load_values(path: pathlib.Path) -> Shaped[np.ndarray, 'h w']:
  """Values of a gray PNG or TIFF, of a palette's numbers, or of an array.

  Raises:
    UserError: another kind of file, or a damaged one.
  """
  suffix = path.suffix.lower()
  if suffix == '.npy':
    array = files.load_npy(path)
    if array.ndim == 3 and array.shape[-1] == 1:
      array = array[..., 0]
    if array.ndim != 2:
      raise UserError(f'{path}: shape {array.shape}, expected height x width')
    return array
  if suffix in ('.tif', '.tiff'):
    return _load_tiff(path)
  return files.load_labels(path)


def load_vectors(
  path: pathlib.Path, invalid: tuple[tuple[int, ...], ...] = ()
) -> Float32[np.ndarray, 'h w 3']:
  """Vectors of an array as they are, or of a PNG's levels from -1 to 1.

  Args:
    path: of the file.
    invalid: colors of 8 bits whose pixels are zero.

  Raises:
    UserError: another kind of file, or a damaged one.
  """
  if path.suffix.lower() == '.npy':
    vectors = files.load_npy(path, shape=(None, None, 3), dtypes='f')
    return np.nan_to_num(vectors.astype(np.float32))
  header = files.read_png_header(files.load_bytes(path), path)
  levels = files.load_png_rgb(path, header.bits)
  most = np.float32(2**header.bits - 1)
  vectors = levels.astype(np.float32) * (2 / most) - 1
  scale = most // 255
  for color in invalid:
    vectors[(levels == np.array(color) * int(scale)).all(-1)] = 0
  return vectors


def _load_tiff(path: pathlib.Path) -> Shaped[np.ndarray, 'h w']:
  encoded = files.load_bytes(path)
  try:
    with image_formats.open_image(encoded) as image:
      size = image.width * image.height
      if image.format != 'TIFF' or image.mode not in _TIFF_MODES:
        raise UserError(
          f'{path}: {image.format} in {image.mode}, expected a TIFF of one '
          'value a pixel'
        )
      if size > photos.MAX_PIXELS:
        raise UserError(f'{path}: {size} pixels, too many')
      return np.asarray(image)
  except (*files.DAMAGED, image_formats.UnreadKindError) as error:
    if isinstance(error, Image.DecompressionBombError):
      raise UserError(f'{path}: far too many pixels') from error
    raise UserError(f'{path}: damaged TIFF ({error})') from error
