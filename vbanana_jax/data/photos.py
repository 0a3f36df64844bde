"""Any photograph as 8-bit RGB, opened with care; and fitted to a size."""

import io
import os

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from vbanana_jax import paths
from vbanana_jax.errors import UserError

SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp')
MAX_PIXELS = 64_000_000
MAX_BYTES = 256 * 2**20
_FORMATS = ('JPEG', 'PNG', 'WEBP')  # JPEG covers the MPO of telephones
_SIXTEEN_BIT = ('I', 'I;16', 'I;16B', 'I;16L', 'I;16N')


def open_photo(
  photo: str | os.PathLike | bytes,
  max_pixels: int = MAX_PIXELS,
  *,
  max_bytes: int = MAX_BYTES,
  name: str | None = None,
) -> UInt8[np.ndarray, 'h w 3']:
  """Upright 8-bit RGB of a JPEG, PNG or WebP file.

  EXIF rotation is applied, transparency is laid over white, 16-bit greys are
  scaled to 8 bits, palettes and CMYK are converted; colour profiles are not
  applied. Of an animation the first picture is taken. The header is checked
  before a pixel is decoded.

  Args:
    photo: a path, or the encoded bytes.
    max_pixels: refuse pictures with more pixels than this.
    max_bytes: refuse files longer than this.
    name: what to call the picture in errors; by default its path.

  Errors: UserError naming the file: missing, too large, not a picture, or
    damaged.
  """
  if isinstance(photo, bytes):
    name, encoded = name or 'picture', photo
  else:
    name, encoded = name or str(photo), _read(paths.to_path(photo), max_bytes)
  if len(encoded) > max_bytes:
    raise UserError(f'{name}: {len(encoded)} bytes, at most {max_bytes} taken')
  try:
    with Image.open(io.BytesIO(encoded), formats=_FORMATS) as image:
      if image.width * image.height > max_pixels:
        raise UserError(
          f'{name}: {image.width} x {image.height} pixels, at most '
          f'{max_pixels} in all are taken; make it smaller first'
        )
      return _to_rgb(image)
  except (UserError, MemoryError):  # want of memory is no fault of the file
    raise
  except (Image.DecompressionBombError, Image.DecompressionBombWarning) as bomb:
    raise UserError(
      f'{name}: far too many pixels, at most {max_pixels} are taken'
    ) from bomb
  except Image.UnidentifiedImageError as error:
    raise UserError(f'{name}: not a JPEG, PNG or WebP picture') from error
  except Exception as error:  # Pillow's readers raise nearly every kind
    raise UserError(f'{name}: damaged picture ({error})') from error


def fit_photo(
  rgb: UInt8[np.ndarray, 'h w 3'], height: int, width: int
) -> UInt8[np.ndarray, 'h2 w2 3']:
  """Largest centred crop of the wanted aspect, resized with antialiasing."""
  fitted = ImageOps.fit(
    Image.fromarray(rgb), (width, height), Image.Resampling.BICUBIC
  )
  return np.asarray(fitted)


def _read(path: paths.Path, max_bytes: int) -> bytes:
  if not path.is_file():
    raise UserError(f'{path}: no such file')
  if path.stat().st_size > max_bytes:
    raise UserError(
      f'{path}: {path.stat().st_size} bytes, at most {max_bytes} are taken'
    )
  return path.read_bytes()


def _to_rgb(image: Image.Image) -> UInt8[np.ndarray, 'h w 3']:
  image = ImageOps.exif_transpose(image)
  if image.mode in _SIXTEEN_BIT:  # convert('RGB') would clip at 255
    grey = np.asarray(image).astype(np.float64).clip(0, 65535) / 257
    return np.repeat(np.round(grey).astype(np.uint8)[..., None], 3, axis=-1)
  if image.has_transparency_data:
    image = image.convert('RGBA')
    white = Image.new('RGBA', image.size, 'white')
    image = Image.alpha_composite(white, image)
  return np.asarray(image.convert('RGB'))
