"""Files of benchmarks, read exactly as stored; a damaged one is named."""

import io
import json
import pathlib
import struct
import tokenize
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8, UInt16
from PIL import Image

from vbanana_jax.data import file_kinds, folders, photos
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import paths

MAX_JSON_BYTES = 4 * 2**30  # the largest table of nuScenes has over 1 GiB
_PNG = b'\x89PNG\r\n\x1a\n'
_GRAY, _RGB, _PALETTE = 0, 2, 3  # PNG color types
# What decoders of pictures and containers raise for damaged files.
DAMAGED = (
  OSError, SyntaxError, ValueError, struct.error, zlib.error, EOFError,
  IndexError, KeyError, TypeError, OverflowError, AttributeError,
  Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip
# What numpy's header parser and memory maps raise for damaged arrays.
_BAD_NPY = (
  OSError, ValueError, EOFError, OverflowError, TypeError, SyntaxError,
  tokenize.TokenError,
)  # fmt: skip


class PngHeader(NamedTuple):
  """Size, bits a channel, and color type (0 grey, 2 RGB, 3 palette)."""

  width: int
  height: int
  bits: int
  color: int


def load_bytes(path: pathlib.Path, max_bytes: int = photos.MAX_BYTES) -> bytes:
  """The whole file; UserError where it is missing, too long or unreadable."""
  try:
    if not path.is_file():
      raise UserError(f'{path}: no such file')
    size = path.stat().st_size
    if size > max_bytes:
      raise UserError(f'{path}: {size} bytes, at most {max_bytes} are taken')
    return path.read_bytes()
  except OSError as error:
    raise UserError(f'{path}: cannot be read ({error})') from error


def load_rgb(path: pathlib.Path) -> UInt8[np.ndarray, 'h w 3']:
  """Pixels of a JPEG or 8-bit PNG as stored.

  EXIF rotation is not applied, unlike `photos.open_photo`: truths belong to
  the stored pixels.
  """
  encoded = load_bytes(path)
  if encoded.startswith(_PNG):
    read_png_header(encoded, path)
  with _open_image(encoded, path, ('JPEG', 'PNG')) as image:
    if image.mode.startswith('I') or image.mode == 'F':
      raise UserError(f'{path}: mode {image.mode}, expected 8-bit color')
    return _decode(path, lambda: np.asarray(image.convert('RGB')))


def load_image_size(path: pathlib.Path) -> tuple[int, int]:
  """Height and width from the header of a JPEG or PNG."""
  with _open_image(load_bytes(path), path, ('JPEG', 'PNG')) as image:
    return image.height, image.width


def load_png16(path: pathlib.Path) -> UInt16[np.ndarray, 'h w']:
  """A 16-bit grey PNG; UserError for any other kind."""
  encoded = load_bytes(path)
  header = read_png_header(encoded, path)
  if (header.bits, header.color) != (16, _GRAY):
    raise UserError(
      f'{path}: {_describe(header)}, expected a 16-bit grey PNG: it was '
      'converted, get the original'
    )
  with _open_image(encoded, path, ('PNG',)) as image:
    gray = _decode(path, lambda: np.asarray(image))
  return gray.astype(np.uint16)


def load_png_rgb(path: pathlib.Path, bits: int) -> np.ndarray:
  """An RGB PNG of exactly `bits` (8 or 16) a channel, uint8 or uint16 [h w 3].

  Pillow has no 16-bit color and keeps the high bytes; the picture is decoded
  a second time for the low ones.
  """
  encoded = load_bytes(path)
  header = read_png_header(encoded, path)
  if (header.bits, header.color) != (bits, _RGB):
    raise UserError(
      f'{path}: {_describe(header)}, expected a {bits}-bit RGB PNG: it was '
      'converted, get the original'
    )
  if bits == 8:
    return _decode_raw(encoded, path, 'RGB')
  # Read as if little-endian, the byte that is kept is the low one.
  high = _decode_raw(encoded, path, 'RGB;16B').astype(np.uint16)
  return high << 8 | _decode_raw(encoded, path, 'RGB;16L')


def load_labels(path: pathlib.Path) -> np.ndarray:
  """Values of a grey or palette PNG, unconverted: uint8 or uint16 [h w]."""
  encoded = load_bytes(path)
  header = read_png_header(encoded, path)
  depths = {_GRAY: (1, 8, 16), _PALETTE: (1, 2, 4, 8)}
  if header.bits not in depths.get(header.color, ()):
    raise UserError(
      f'{path}: {_describe(header)}, expected a PNG of labels: grey, or a '
      'palette'
    )
  with _open_image(encoded, path, ('PNG',)) as image:
    labels = _decode(path, lambda: np.asarray(image))
  return labels.astype(np.uint16 if header.bits == 16 else np.uint8)


def read_png_header(encoded: bytes, path: pathlib.Path) -> PngHeader:
  """The header of a whole PNG; UserError for any other file.

  Pillow decodes a picture although its checksums are wrong, so they are
  compared here.
  """
  if len(encoded) < 33 or not encoded.startswith(_PNG):
    kind = file_kinds.describe_stranger(encoded)
    raise UserError(f'{path}: not a PNG picture{kind}')
  length, kind, width, height, bits, color = struct.unpack(
    '>I4sIIBB', encoded[8:26]
  )
  if (length, kind) != (13, b'IHDR'):
    raise UserError(f'{path}: damaged picture (its header is not the first)')
  _check_pixels(width, height, path)
  place = len(_PNG)
  while kind != b'IEND':
    head = encoded[place : place + 8]
    length, kind = struct.unpack('>I4s', head.ljust(8, b'?'))
    body = encoded[place + 4 : place + 8 + length]
    check = encoded[place + 8 + length : place + 12 + length]
    if zlib.crc32(body).to_bytes(4, 'big') != check:
      raise UserError(f'{path}: damaged picture (cut off or changed)')
    place += 12 + length
  return PngHeader(width, height, bits, color)


def load_npy(
  path: pathlib.Path,
  *,
  shape: tuple[int | None, ...] | None = None,
  dtypes: str = 'bifu',
) -> np.ndarray:
  """An array of a `.npy` file, never of a pickle.

  Args:
    path: the file.
    shape: expected; None stands for any length of an axis.
    dtypes: kinds of dtype that are taken, as in `np.dtype.kind`.

  Raises:
    UserError: a damaged file, another shape or another dtype.
  """
  if path.is_file() and path.stat().st_size > photos.MAX_BYTES:
    raise UserError(f'{path}: more than {photos.MAX_BYTES} bytes')
  try:
    stored = _open_npy(path)
  except FileNotFoundError as error:
    raise UserError(f'{path}: no such file') from error
  except _BAD_NPY as error:
    raise UserError(f'{path}: not a whole .npy array ({error})') from error
  if stored.dtype.kind not in dtypes:
    raise UserError(f'{path}: dtype {stored.dtype}, expected kind {dtypes}')
  if shape is not None and not _fits(stored.shape, shape):
    wanted = ' x '.join('any' if n is None else str(n) for n in shape)
    raise UserError(f'{path}: shape {stored.shape}, expected {wanted}')
  return np.array(stored)


def _open_npy(path: paths.Path) -> np.ndarray:
  # Nothing in a bucket or an archive can be mapped into memory.
  if paths.is_bucket(path) or isinstance(path, folders.Member):
    whole = io.BytesIO(path.read_bytes())
    return np.lib.format.read_array(whole, allow_pickle=False)
  return np.lib.format.open_memmap(path, mode='r')


def load_raw_float32(
  path: pathlib.Path, shape: tuple[int, ...]
) -> Float32[np.ndarray, '...']:
  """Headerless little-endian float32; UserError unless the size fits."""
  encoded = load_bytes(path)
  expected = 4 * int(np.prod(shape, dtype=np.int64))
  if len(encoded) != expected:
    text = ' x '.join(map(str, shape))
    raise UserError(
      f'{path}: {len(encoded)} bytes, expected {expected} (4 x {text})'
    )
  return np.frombuffer(encoded, '<f4').reshape(shape).astype(np.float32)


def load_json(
  path: pathlib.Path,
  kind: type = object,
  *,
  keep: Callable[[dict], Any] | None = None,
) -> Any:
  """A JSON file whose outermost value is a `kind`.

  `keep` replaces every object as it is read, so that what a large table does
  not need is dropped at once.
  """
  encoded = load_bytes(path, MAX_JSON_BYTES)
  try:
    value = json.loads(encoded, object_hook=keep)
  except (ValueError, RecursionError) as error:
    raise UserError(f'{path}: not valid JSON ({error})') from error
  except (KeyError, TypeError, AttributeError) as error:
    raise UserError(f'{path}: an entry lacks a field ({error!r})') from error
  if not isinstance(value, kind):
    raise UserError(
      f'{path}: holds a {type(value).__name__}, expected a {kind.__name__}'
    )
  return value


def load_lines(path: pathlib.Path) -> list[str]:
  """Lines of a UTF-8 list file, stripped, without the empty ones."""
  try:
    text = load_bytes(path).decode('utf-8-sig')
  except UnicodeDecodeError as error:
    raise UserError(f'{path}: not a text file ({error})') from error
  return [line.strip() for line in text.splitlines() if line.strip()]


def make_missing_extra(path: pathlib.Path, package: str) -> UserError:
  """The error for a file that an absent optional package would read."""
  return UserError(
    f"{path}: needs {package}: pip install 'vbanana-jax[benchmarks]'"
  )


def _open_image(encoded, path, formats) -> Image.Image:
  def open_it():
    return Image.open(io.BytesIO(encoded), formats=formats)

  image = _decode(path, open_it, file_kinds.describe_stranger(encoded))
  _check_pixels(image.width, image.height, path)
  return image


def _decode_raw(encoded: bytes, path: pathlib.Path, raw: str) -> np.ndarray:
  """An RGB PNG whose bytes are unpacked as Pillow's raw mode `raw`."""
  with _open_image(encoded, path, ('PNG',)) as image:
    image.tile = [tile._replace(args=raw) for tile in image.tile]
    return _decode(path, lambda: np.asarray(image))


def _decode(path: pathlib.Path, read: Callable[[], Any], kind: str = '') -> Any:
  try:
    return read()
  except Image.UnidentifiedImageError as error:
    raise UserError(
      f'{path}: not a picture of the expected kind{kind}'
    ) from error
  except DAMAGED as error:
    raise UserError(f'{path}: damaged picture ({error})') from error


def _check_pixels(width: int, height: int, path: pathlib.Path) -> None:
  if not 0 < width * height <= photos.MAX_PIXELS:
    raise UserError(
      f'{path}: {width} x {height} pixels, 1 to {photos.MAX_PIXELS} are taken'
    )


def _describe(header: PngHeader) -> str:
  names = {0: 'grey', 2: 'RGB', 3: 'palette', 4: 'grey + alpha', 6: 'RGBA'}
  return f'a {header.bits}-bit {names.get(header.color, "odd")} PNG'


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
  return len(shape) == len(wanted) and all(
    n is None or n == m for m, n in zip(shape, wanted)
  )
