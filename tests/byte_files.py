"""Files of benchmarks written byte by byte, so that readers meet the format.

And what every test of a reader asserts of a bad one: `assert_refused`.
"""

import io
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from PIL import Image

from vbanana_jax.benchmark.readers import READERS
from vbanana_jax.data import photos
from vbanana_jax.datasets import KINDS
from vbanana_jax.errors import UserError


def write(root, files: Mapping[str, bytes | str]) -> None:
  """Writes each file, with its folders, below `root`."""
  for name, content in files.items():
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
      content = content.encode()
    path.write_bytes(content)


def assert_refused(call: Callable, *words: str) -> None:
  """The call ends in one line for the user that holds all `words`."""
  with pytest.raises(UserError) as raised:
    call()
  message = str(raised.value)
  assert '\n' not in message
  assert all(word in message for word in words), message


def assert_reader_refuses(
  name: str, root, split: str, *words: str, item: int | None = None
) -> None:
  """Listing is refused, or loading the truth of item number `item`."""

  def read():
    reader = READERS[name](root, split)
    if item is not None:
      reader.load_truth(reader.items[item])

  assert_refused(read, *words)


def open_kind(name: str, root, **flags):
  """A data set of a kind; flags that are not given are at their defaults."""
  kind = KINDS[name]
  defaults = {
    flag.name[2:].replace('-', '_'): flag.default for flag in kind.flags
  }
  return kind.open(root, **{**defaults, **flags})


def assert_kind_refuses(
  name: str, root, *words: str, item: int | None = None, **flags
) -> None:
  """Opening is refused, or loading picture number `item`."""

  def read():
    dataset = open_kind(name, root, **flags)
    if item is not None:
      dataset.load(item)

  assert_refused(read, *words)


def load_depth_picture(dataset, index=0):
  """A picture of a set, whose labels are those of its photograph's pixels."""
  picture = dataset.load(index)
  shape = photos.open_photo(picture.encoded).shape
  assert picture.depth_m.shape == shape[:2]
  assert picture.depth_m.dtype == np.float32
  assert not (picture.depth_m <= 0).any()
  if picture.normals is not None:
    assert picture.normals.shape == shape
    length = np.linalg.norm(picture.normals, axis=-1)
    np.testing.assert_allclose(length[length > 0], 1, atol=1e-3)
  assert picture.id == dataset.ids[index] and dataset.license is not None
  return picture


def make_png(
  pixels,
  bits: int = 8,
  *,
  palette: Sequence[Sequence[int]] | None = None,
  filters: Sequence[int] = (0,),
) -> bytes:
  """A PNG of `pixels` [h w] (grey, or rows of a palette) or [h w 3].

  Row i is filtered by `filters[i % len(filters)]` (0 none, 1 left, 2 up, 3
  mean, 4 Paeth).
  """
  pixels = np.asarray(pixels)
  height, width = pixels.shape[:2]
  channels = pixels.shape[2] if pixels.ndim == 3 else 1
  kind = 3 if palette else {1: 0, 3: 2, 4: 6}[channels]
  dtype = '>u2' if bits == 16 else 'u1'
  step = channels * bits // 8  # bytes a pixel
  lines, above = b'', bytes(width * step)
  for number, row in enumerate(pixels.astype(dtype)):
    line, method = row.tobytes(), filters[number % len(filters)]
    lines += bytes([method]) + _filter(line, above, step, method)
    above = line
  header = struct.pack('>IIBBBBB', width, height, bits, kind, 0, 0, 0)
  chunks = [_chunk(b'IHDR', header)]
  if palette:
    colors = b''.join(bytes(color) for color in palette)
    chunks.append(_chunk(b'PLTE', colors))
  chunks += [_chunk(b'IDAT', zlib.compress(lines)), _chunk(b'IEND', b'')]
  return b'\x89PNG\r\n\x1a\n' + b''.join(chunks)


def make_tiff(pixels, *, photometric: int = 2, order: str = '<') -> bytes:
  """An uncompressed TIFF of [h w c] with the dtype of `pixels`.

  `photometric` is 0 where white is 0, 1 where black is, 2 for RGB; `order` is
  that of the bytes, as in `struct`.
  """
  pixels = np.asarray(pixels)
  height, width, channels = pixels.shape
  body = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
  form = 3 if pixels.dtype.kind == 'f' else 1
  several = {258: (8 * pixels.itemsize,) * channels, 339: (form,) * channels}
  tags = {
    256: (width,), 257: (height,), 258: several[258], 259: (1,),
    262: (photometric,), 273: (0,), 277: (channels,), 278: (height,),
    279: (len(body),), 339: several[339],
  }  # fmt: skip
  entries, extra = b'', b''
  place = 8 + 2 + 12 * len(tags) + 4
  offsets = {tag: place + 8 * i for i, tag in enumerate(several)}
  for tag, values in sorted(tags.items()):
    if tag == 273:
      values = (place + 8 * len(several),)
    kind, letter = (3, 'H') if tag in several else (4, 'I')
    packed = struct.pack(f'{order}{len(values)}{letter}', *values)
    if tag in several:
      extra += packed.ljust(8, b'\0')
    if len(packed) > 4:
      packed = struct.pack(f'{order}I', offsets[tag])
    entries += struct.pack(f'{order}HHI', tag, kind, len(values))
    entries += packed.ljust(4, b'\0')
  magic = b'II*\0' if order == '<' else b'MM\0*'
  header = magic + struct.pack(f'{order}IH', 8, len(tags))
  return header + entries + bytes(4) + extra + body


def make_npy(array: np.ndarray, descr: str = '<f4') -> bytes:
  """A version 1 `.npy` file, in row-major order."""
  array = np.asarray(array)
  header = (
    f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {array.shape}, }}"
  )
  header += ' ' * (-(len(header) + 11) % 64) + '\n'
  body = array.astype(descr).tobytes()
  length = struct.pack('<H', len(header))
  return b'\x93NUMPY\x01\x00' + length + header.encode() + body


def make_mat5(variables: Mapping[str, Sequence[float]]) -> bytes:
  """A MATLAB 5 file of columns of doubles."""
  file = b'MATLAB 5.0 MAT-file, written by a test'.ljust(124)
  file += struct.pack('<H2s', 0x0100, b'IM')
  for name, column in variables.items():
    matrix = _element(6, struct.pack('<II', 6, 0))  # a double array
    matrix += _element(5, struct.pack('<ii', len(column), 1))
    matrix += _element(1, name.encode())
    matrix += _element(9, struct.pack(f'<{len(column)}d', *column))
    file += _element(14, matrix)
  return file


def make_floats(values) -> bytes:
  """Little-endian float32, row by row, without a header."""
  values = np.asarray(values, float).ravel()
  return struct.pack(f'<{values.size}f', *values)


def make_jpeg(rgb) -> bytes:
  """A JPEG photograph; its pixels are not exact."""
  file = io.BytesIO()
  Image.fromarray(np.asarray(rgb, np.uint8)).save(file, 'JPEG', quality=95)
  return file.getvalue()


def _chunk(kind: bytes, body: bytes) -> bytes:
  check = struct.pack('>I', zlib.crc32(kind + body))
  return struct.pack('>I', len(body)) + kind + body + check


def _element(kind: int, body: bytes) -> bytes:
  padding = bytes(-len(body) % 8)
  return struct.pack('<II', kind, len(body)) + body + padding


def _filter(line: bytes, above: bytes, step: int, method: int) -> bytes:
  """One row as the PNG specification filters it, byte by byte."""
  if method == 0:
    return line
  filtered = bytearray()
  for i, value in enumerate(line):
    left = line[i - step] if i >= step else 0
    corner = above[i - step] if i >= step else 0
    guess = left + above[i] - corner
    nearest = min((left, above[i], corner), key=lambda v: abs(guess - v))
    prediction = (left, above[i], (left + above[i]) // 2, nearest)[method - 1]
    filtered.append((value - prediction) % 256)
  return bytes(filtered)
