"""Which encodings of pictures are read, by which library, to which values."""

import contextlib
import functools
import io
import sys
import threading
import warnings
from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8
from PIL import Image

SUFFIXES = (
  '.jpg', '.jpeg', '.jpe', '.jfif', '.mpo', '.png', '.apng', '.webp', '.avif',
  '.avifs', '.heic', '.heif', '.hif', '.tif', '.tiff', '.bmp', '.dib', '.gif',
)  # fmt: skip
NAMES = 'JPEG, PNG or WebP picture, nor AVIF, HEIC, TIFF, BMP or GIF'
# JPEG covers the MPO of telephones.
_FORMATS = ('JPEG', 'PNG', 'WEBP', 'AVIF', 'TIFF', 'BMP', 'DIB', 'GIF')
# ISO/IEC 23008-12: brands of files that hold HEVC pictures, and of any.
_HEIF_BRANDS = (
  b'heic', b'heix', b'heim', b'heis', b'hevc', b'hevx', b'hevm', b'hevs',
  b'mif1', b'mif2', b'msf1',
)  # fmt: skip
_TIFF = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
_PNG = b'\x89PNG\r\n\x1a\n'
# Pillow has no 16-bit color; of the bytes of a value it keeps the high one.
_DEEP_COLOR = {
  f'{mode};16{order}': f'{mode};16{other}'
  for mode in ('RGB', 'RGBX', 'RGBA')
  for order, other in (
    ('B', 'L'),
    ('L', 'B'),
    ('N', 'B' if sys.byteorder == 'little' else 'L'),
  )
}
_PLANES = ('R', 'G', 'B', 'A')
_BITS, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0  # of TIFF
_SIXTEEN_BIT = ('I', 'I;16', 'I;16B', 'I;16L', 'I;16N')
# What the pixels of a PNG are a function of; all else may be broken.
_PNG_PIXELS = (b'IHDR', b'PLTE', b'tRNS', b'IDAT', b'IEND')


_WARNINGS = threading.Lock()  # their filters are the process's


class UnreadKindError(Exception):
  """A whole picture of a kind that is not read; the message says which."""


def open_image(encoded: bytes) -> Image.Image:
  """A picture whose header is read and whose pixels are not.

  Raises:
    UnreadKindError: as HEIC, where pillow-heif is not installed.
    Exception: nearly every kind, for files that are no pictures.
  """
  formats = _FORMATS
  if _is_heif(encoded) and _has_heif():
    formats = ('HEIF', *_FORMATS)
  try:
    with ignore_broken_exif():
      return Image.open(io.BytesIO(encoded), formats=formats)
  except Image.UnidentifiedImageError as error:
    if _is_heif(encoded) and not _has_heif():
      raise UnreadKindError(
        'a HEIC picture, which needs another library: pip install pillow-heif'
      ) from error
    if encoded.startswith(_TIFF):
      if _is_cut_short(encoded):
        raise ValueError('the file ends before its directory') from error
      raise UnreadKindError(
        'a kind of TIFF that is not read; save it with 8 or 16 bits a channel'
      ) from error
    if _is_heif(encoded):
      raise ValueError('its header cannot be read') from error
    if encoded.startswith(_PNG):
      pixels = io.BytesIO(drop_png_metadata(encoded))
      return Image.open(pixels, formats=('PNG',))
    raise


def has_several(encoded: bytes) -> bool:
  """Whether a picture is one of several in its file, as frames and pages are.

  A telephone's MPO is not: its others are made for screens from the first.
  """
  try:
    with open_image(encoded) as image:
      return image.format != 'MPO' and getattr(image, 'is_animated', False)
  except Exception:  # of the others; the first one may be whole
    return False


def is_lossy(encoded: bytes) -> bool:
  """Whether a picture was kept as JPEG, lossy WebP, AVIF or HEIC.

  The last two may be without loss, which is rare.
  """
  if encoded[:4] == b'RIFF':
    place, kinds = 12, []
    while place + 8 <= len(encoded):
      kinds.append(encoded[place : place + 4])
      size = int.from_bytes(encoded[place + 4 : place + 8], 'little')
      place += 8 + size + size % 2
    return b'VP8 ' in kinds
  return encoded.startswith(b'\xff\xd8') or encoded[4:8] == b'ftyp'


@contextlib.contextmanager
def ignore_broken_exif() -> Iterator[None]:
  """Keeps Pillow from warning, without a name, of EXIF in whole pictures."""
  with _WARNINGS, warnings.catch_warnings():
    warnings.filterwarnings('ignore', category=UserWarning, module=r'PIL\.')
    yield


def load_pixels(image: Image.Image, encoded: bytes) -> Image.Image:
  """The picture with 8 bits a channel, its pixels decoded.

  Values of 16 bits are scaled, 65535 to 255, and rounded.

  Args:
    image: of `open_image(encoded)`; of an animation the first picture is taken.
    encoded: the file.

  Raises:
    UnreadKindError: values that are no photograph's, as meters in 32 bits.
    Exception: nearly every kind, for damaged files.
  """
  raw = _get_raw_mode(image)
  tags = image.tag_v2 if image.format == 'TIFF' else {}
  if image.mode == 'F':
    raise UnreadKindError('floating-point values, which no photograph has')
  if raw in _PLANES and max(tags.get(_BITS, (8,))) > 8:  # Pillow mixes them up
    raise UnreadKindError(
      'a TIFF of 16 bits in separate planes; save it with interleaved channels'
    )
  image.load()
  if image.mode in _SIXTEEN_BIT:  # convert('RGB') would clip at 255
    gray = np.asarray(image)
    if gray.min() < 0 or gray.max() > 65535:
      raise UnreadKindError('values beyond 16 bits, which no photograph has')
    gray_u8 = _to_eight_bits(gray)
    is_inverted = tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    return _replace_pixels(image, 255 - gray_u8 if is_inverted else gray_u8)
  if raw in _DEEP_COLOR:
    with open_image(encoded) as again:
      again.tile = [
        tile._replace(args=_swap_bytes(tile.args)) for tile in again.tile
      ]
      low = np.asarray(again)
    high = np.asarray(image).astype(np.uint16)
    return _replace_pixels(image, _to_eight_bits(high << 8 | low))
  return image


def _to_eight_bits(values: np.ndarray) -> UInt8[np.ndarray, '...']:
  return ((values.astype(np.int32) + 128) // 257).astype(np.uint8)


def _replace_pixels(image: Image.Image, pixels: np.ndarray) -> Image.Image:
  replaced = Image.fromarray(pixels)
  if 'exif' in image.info:
    replaced.info['exif'] = image.info['exif']
  return replaced


def _get_raw_mode(image: Image.Image) -> str | None:
  """How the file stores pixels, in Pillow's words; None if it does not say."""
  if image.format not in ('PNG', 'TIFF') or not image.tile:
    return None
  args = image.tile[0].args
  return args[0] if isinstance(args, tuple) else args


def _swap_bytes(args):
  if isinstance(args, tuple):
    return (_DEEP_COLOR[args[0]], *args[1:])
  return _DEEP_COLOR[args]


def drop_png_metadata(encoded: bytes) -> bytes:
  """A PNG without what is not pixels: texts, EXIF, profiles, animations.

  From the first chunk that runs past the end on, everything is kept.
  """
  kept, place = [_PNG], len(_PNG)
  while place + 12 <= len(encoded):
    end = place + 12 + int.from_bytes(encoded[place : place + 4], 'big')
    if end > len(encoded):
      break
    if encoded[place + 4 : place + 8] in _PNG_PIXELS:
      kept.append(encoded[place:end])
    place = end
  return b''.join([*kept, encoded[place:]])


def _is_cut_short(tiff: bytes) -> bool:
  """Whether a TIFF ends before its first directory does."""
  order = 'little' if tiff.startswith(b'II') else 'big'
  is_big = 43 in tiff[2:4]
  place_bytes, count_bytes, entry_bytes = (8, 8, 20) if is_big else (4, 2, 12)
  place = int.from_bytes(tiff[place_bytes : 2 * place_bytes], order)
  first = place + count_bytes
  count = int.from_bytes(tiff[place:first], order)
  return first + count * entry_bytes > len(tiff)


def _is_heif(encoded: bytes) -> bool:
  return encoded[4:8] == b'ftyp' and encoded[8:12] in _HEIF_BRANDS


@functools.cache
def _has_heif() -> bool:
  """Whether Pillow reads HEIC; registers its reader where it is installed."""
  try:
    import pillow_heif
  except ImportError:
    return False
  pillow_heif.register_heif_opener(thumbnails=False)
  return True
