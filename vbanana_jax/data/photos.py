"""Any photograph as 8-bit RGB, opened with care; and fitted to a size."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image, ImageOps

from vbanana_jax.data import file_kinds, image_formats
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import paths

SUFFIXES = image_formats.SUFFIXES
MAX_PIXELS = 64_000_000
MAX_BYTES = 256 * 2**20
_WHITE = (255, 255, 255)
_ORIENTATION = 0x0112  # of EXIF
_UPRIGHT = {
  2: Image.Transpose.FLIP_LEFT_RIGHT,
  3: Image.Transpose.ROTATE_180,
  4: Image.Transpose.FLIP_TOP_BOTTOM,
  5: Image.Transpose.TRANSPOSE,
  6: Image.Transpose.ROTATE_270,
  7: Image.Transpose.TRANSVERSE,
  8: Image.Transpose.ROTATE_90,
}


# What a turn does to an array [h w ...].
_TURNS = {
  Image.Transpose.FLIP_LEFT_RIGHT: lambda x: x[:, ::-1],
  Image.Transpose.ROTATE_180: lambda x: x[::-1, ::-1],
  Image.Transpose.FLIP_TOP_BOTTOM: lambda x: x[::-1],
  Image.Transpose.TRANSPOSE: lambda x: x.swapaxes(0, 1),
  Image.Transpose.ROTATE_270: lambda x: x[::-1].swapaxes(0, 1),
  Image.Transpose.TRANSVERSE: lambda x: x[::-1, ::-1].swapaxes(0, 1),
  Image.Transpose.ROTATE_90: lambda x: x[:, ::-1].swapaxes(0, 1),
}


class Frame(NamedTuple):
  """The pixels of a file as they are stored, by its header.

  Attributes:
    height, width: as stored.
    turn: what makes the picture upright, by EXIF; None where it is.
  """

  height: int
  width: int
  turn: Image.Transpose | None

  @property
  def upright(self) -> tuple[int, int]:
    """Height and width of the upright picture."""
    stored = np.broadcast_to(False, (self.height, self.width))
    return self.make_upright(stored).shape

  def make_upright(
    self, stored: Shaped[np.ndarray, 'h w ...']
  ) -> Shaped[np.ndarray, 'h2 w2 ...']:
    """Labels of the stored pixels, turned as the picture is."""
    if self.turn is None:
      return stored
    return np.ascontiguousarray(_TURNS[self.turn](stored))


class Painted(NamedTuple):
  """A picture that colors are read from.

  Attributes:
    pixels_u8: upright RGB [h w 3].
    clear: share of its pixels that are not opaque.
    is_lossy: whether its file keeps colors only nearly.
  """

  pixels_u8: np.ndarray
  clear: float
  is_lossy: bool


def open_photo(
  photo: str | os.PathLike | bytes,
  max_pixels: int = MAX_PIXELS,
  *,
  max_bytes: int = MAX_BYTES,
  name: str | None = None,
  tell: Callable[[str], None] | None = None,
  enough: int | None = None,
) -> UInt8[np.ndarray, 'h w 3']:
  """Upright 8-bit RGB of a JPEG, PNG, WebP, AVIF, HEIC, TIFF, BMP or GIF file.

  The content says which it is, not the name. EXIF rotation is applied,
  transparency is laid over white, 16 bits are scaled to 8, palettes and CMYK
  are converted; color profiles are not applied. Of several pictures in one
  file the first is taken, of HEIC the primary one. The header is checked
  before a pixel is decoded. HEIC needs pillow-heif.

  Args:
    photo: a path, or the encoded bytes.
    max_pixels: refuse pictures with more pixels than this.
    max_bytes: refuse files longer than this.
    name: what to call the picture in errors; by default its path.
    tell: called with the name of a file of several pictures.
    enough: pixels a side. A JPEG that has twice as many, or 4 or 8 times, is
      decoded at a half, a quarter or an eighth of its size, which takes a
      fraction of the time: each pixel is the mean of what it stands for.

  Raises:
    UserError: names the file: missing, too large, not a picture, or damaged.
  """
  found = _open(photo, _WHITE, max_pixels, max_bytes, name, tell, enough)
  return found.pixels_u8


def open_painted(
  photo: str | os.PathLike | bytes, ground: tuple[int, int, int]
) -> Painted:
  """As `open_photo`, with transparency laid over a color of 8-bit levels."""
  return _open(photo, ground, MAX_PIXELS, MAX_BYTES, None)


def read_frame(encoded: bytes, name: str) -> Frame:
  """Size and turn of a picture from its header.

  Raises:
    UserError: names the picture, as `open_photo` does.
  """
  with _name_errors(name, encoded, MAX_PIXELS):
    with image_formats.open_image(encoded) as image:
      _check_size(image, name, MAX_PIXELS)
      turn = _UPRIGHT.get(_find_orientation(image))
      return Frame(image.height, image.width, turn)


def _open(
  photo, ground, max_pixels, max_bytes, name, tell=None, enough=None
) -> Painted:
  if isinstance(photo, bytes):
    name, encoded = name or 'picture', photo
  else:
    name, encoded = name or str(photo), _read(paths.to_path(photo), max_bytes)
  if len(encoded) > max_bytes:
    raise UserError(f'{name}: {len(encoded)} bytes, at most {max_bytes} taken')
  with _name_errors(name, encoded, max_pixels):
    with image_formats.open_image(encoded) as image:
      _check_size(image, name, max_pixels)
      if enough and image.format == 'JPEG':
        image.draft(None, (enough, enough))
      pixels = image_formats.load_pixels(image, encoded)
      picture = Painted(
        *_to_rgb(pixels, ground), image_formats.is_lossy(encoded)
      )
    if tell and image_formats.has_several(encoded):
      tell(name)
    return picture


def _check_size(image: Image.Image, name: str, max_pixels: int) -> None:
  if image.width * image.height > max_pixels:
    raise UserError(
      f'{name}: {image.width} x {image.height} pixels, at most '
      f'{max_pixels} in all are taken; make it smaller first'
    )


@contextlib.contextmanager
def _name_errors(name: str, encoded: bytes, max_pixels: int) -> Iterator[None]:
  """Whatever a reader of pictures raises, as a line that names the picture."""
  try:
    yield
  except (UserError, MemoryError):  # want of memory is no fault of the file
    raise
  except (Image.DecompressionBombError, Image.DecompressionBombWarning) as bomb:
    raise UserError(
      f'{name}: far too many pixels, at most {max_pixels} are taken'
    ) from bomb
  except image_formats.UnreadKindError as error:
    raise UserError(f'{name}: {error}') from error
  except Image.UnidentifiedImageError as error:
    kind = file_kinds.describe_stranger(encoded)
    raise UserError(f'{name}: not a {image_formats.NAMES}{kind}') from error
  except Exception as error:  # Pillow's readers raise nearly every kind
    reason = ' '.join(str(error).split())
    raise UserError(f'{name}: damaged picture ({reason})') from error


def fit_photo(
  rgb: UInt8[np.ndarray, 'h w 3'], height: int, width: int
) -> UInt8[np.ndarray, 'h2 w2 3']:
  """Largest centered crop of the wanted aspect, resized with antialiasing."""
  fitted = ImageOps.fit(
    Image.fromarray(rgb), (width, height), Image.Resampling.BICUBIC
  )
  return np.asarray(fitted)


def _read(path: paths.Path, max_bytes: int) -> bytes:
  try:
    if path.is_dir():
      raise UserError(f'{path}: a folder, not a picture')
    if not path.is_file():
      what = 'a link to nothing' if path.is_symlink() else 'no such file'
      raise UserError(f'{path}: {what}')
    if path.stat().st_size > max_bytes:
      raise UserError(
        f'{path}: {path.stat().st_size} bytes, at most {max_bytes} are taken'
      )
    return path.read_bytes()
  except OSError as error:
    raise UserError(
      f'{path}: cannot be read ({error.strerror or error})'
    ) from error


def _to_rgb(
  image: Image.Image, ground: tuple[int, int, int]
) -> tuple[UInt8[np.ndarray, 'h w 3'], float]:
  """Upright, over the ground, and the share of pixels that let it through."""
  turn = _UPRIGHT.get(_find_orientation(image))
  if turn is not None:
    image = image.transpose(turn)
  clear = 0.0
  if image.has_transparency_data:
    image = image.convert('RGBA')
    clear = float((np.asarray(image.getchannel('A')) < 255).mean())
    under = Image.new('RGBA', image.size, (*ground, 255))
    image = Image.alpha_composite(under, image)
  return np.asarray(image.convert('RGB')), clear


def _find_orientation(image: Image.Image) -> int | None:
  """What EXIF says; None where it is absent or broken, as pixels may be whole.

  Pillow turns TIFF upright itself, and says so here.
  """
  try:
    with image_formats.ignore_broken_exif():
      return image.getexif().get(_ORIENTATION)
  except Exception:  # Pillow's reader of EXIF raises nearly every kind
    return None
