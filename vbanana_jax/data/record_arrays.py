"""Label maps as bytes and back, without loss.

Numbers are little endian. Each row of measures is replaced by its differences
from left to right (of the bits, so that floats come back exactly); ids stay, as
these would not shrink. Then the low bytes of all numbers come first, then the
next ones, and that is deflated. Neighbors are alike in a label map, so most
bytes repeat.
"""

import zlib

import numpy as np
from jaxtyping import Bool, Float32, Shaped

from vbanana_jax.errors import UserError

_WORTH = 0.7  # of the bytes, at most, for packing floats
_ROWS = 16
_LEVEL = 1  # of zlib; higher ones take several times as long for a tenth


def pack_array(
  array: Shaped[np.ndarray, 'h w *c'], *, differences: bool = True
) -> bytes:
  """Bytes of an array of u8, u16, i32 or f32."""
  bits = _to_bits(array)
  steps = bits
  if differences:
    steps = bits.copy()
    steps[:, 1:] -= bits[:, :-1]
  planes = steps.reshape(-1, 1).view(np.uint8).T
  return zlib.compress(planes.tobytes(), _LEVEL)


def unpack_array(
  packed: bytes, dtype: str, shape: tuple[int, ...], *, differences: bool = True
) -> Shaped[np.ndarray, 'h w *c']:
  """The array that was packed, whose dtype is '<u1', '<u2', '<i4' or '<f4'.

  Raises:
    UserError: the bytes are not those of such an array.
  """
  kind = np.dtype(dtype)
  number = int(np.prod(shape))
  raw = inflate(packed, number * kind.itemsize)
  planes = np.frombuffer(raw, np.uint8).reshape(kind.itemsize, number)
  bits = np.empty((number, kind.itemsize), np.uint8)
  for k, plane in enumerate(planes):  # faster than to transpose them
    bits[:, k] = plane
  steps = bits.view(f'<u{kind.itemsize}').reshape(shape)
  if not differences:
    return steps.view(kind)
  return np.cumsum(steps, axis=1, dtype=steps.dtype).view(kind)


def shrinks(array: Float32[np.ndarray, 'h w *c']) -> bool:
  """Whether a map of floats is worth packing: noise is not, drawings are.

  Asked of some rows. What does not shrink takes longer to inflate
  than to read.
  """
  some = array[:: max(1, len(array) // _ROWS)]
  return len(pack_array(some)) < _WORTH * some.nbytes


def to_raw(array: Shaped[np.ndarray, 'h w *c']) -> bytes:
  """Bytes of an array as it is."""
  return _to_bits(array).tobytes()


def from_raw(
  raw: bytes, dtype: str, shape: tuple[int, ...]
) -> Shaped[np.ndarray, 'h w *c']:
  """The array of `to_raw`; it cannot be written to.

  Raises:
    UserError: there are more bytes or fewer.
  """
  kind = np.dtype(dtype)
  size = int(np.prod(shape)) * kind.itemsize
  if len(raw) != size:
    raise UserError(f'a label has {len(raw)} bytes, not {size}')
  return np.frombuffer(raw, kind).reshape(shape)


def pack_masks(masks: Bool[np.ndarray, 'n h w']) -> bytes:
  """Bytes of masks: eight pixels a byte, the first the highest bit."""
  bits = np.packbits(masks.reshape(len(masks), -1), axis=1)
  return zlib.compress(bits.tobytes(), _LEVEL)


def unpack_masks(
  packed: bytes, shape: tuple[int, int, int]
) -> Bool[np.ndarray, 'n h w']:
  """The masks that were packed.

  Raises:
    UserError: the bytes are not those of such masks.
  """
  count, height, width = shape
  bits = inflate(packed, count * -(-height * width // 8))
  rows = np.frombuffer(bits, np.uint8).reshape(count, -1)
  masks = np.unpackbits(rows, axis=1, count=height * width)
  return masks.view(bool).reshape(shape)


def inflate(packed: bytes, size: int) -> bytes:
  """Deflated bytes of a known length; not one more is made.

  Raises:
    UserError: they are damaged or of another length.
  """
  stream = zlib.decompressobj()
  try:
    found = stream.decompress(packed, size + 1)
  except zlib.error as error:
    raise UserError(f'damaged label ({error})') from error
  if len(found) != size or not stream.eof or stream.unused_data:
    raise UserError(f'a label has not the {size} bytes that its size asks for')
  return found


def _to_bits(array):
  dtype = array.dtype.newbyteorder('<')
  return np.ascontiguousarray(array, dtype).view(f'<u{dtype.itemsize}')
