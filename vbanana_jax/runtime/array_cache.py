"""Arrays on a disk, found again by the text that they were made of.

A folder holds arrays of one shape and type. `cache.json` says what else they
depend on, and for which parts of which streams of texts all of them are there.
A file is named by the SHA-256 of what it depends on and of its text. It holds
the numbers, little-endian, and their CRC-32.
"""

import hashlib
import json
import math
import zlib
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from vbanana_jax.errors import UserError
from vbanana_jax.runtime import paths

INDEX = 'cache.json'
_FORMAT = 1
_CRC_BYTES = 4


class ArrayCache:
  """Arrays of a folder; several threads and processes may read.

  Attributes:
    folder: where they are.
    size: bytes of a file.
  """

  def __init__(self, folder: paths.Path, about: Mapping[str, Any]):
    """Opens a folder; one that is not there is empty.

    Args:
      folder: of the cache.
      about: all that an array depends on beside its text, as JSON; `shape`
        and `dtype` are its own.

    Raises:
      UserError: the arrays there depend on something else.
    """
    paths.refuse_bucket(folder, 'arrays cannot be kept')
    self.folder = folder
    self._about = {'format': _FORMAT, **about}
    self._shape = tuple(about['shape'])
    self._dtype = jnp.dtype(about['dtype'])
    count = math.prod(self._shape) * self._dtype.itemsize
    self.size: int = count + _CRC_BYTES
    self._filled: dict[str, list[int]] = self._read_index()

  def _read_index(self) -> dict[str, list[int]]:
    path = self.folder / INDEX
    try:
      index = json.loads(path.read_text(encoding='utf-8'))
      theirs, filled = index['about'], index['filled']
    except (FileNotFoundError, NotADirectoryError):
      return {}
    except (OSError, ValueError, TypeError, KeyError) as error:
      raise UserError(
        f'{path} cannot be understood ({error}): remove {self.folder}'
      ) from error
    differ = [
      name
      for name in sorted(theirs.keys() | self._about.keys())
      if theirs.get(name) != self._about.get(name)
    ]
    if differ:
      name = differ[0]
      raise UserError(
        f'{self.folder} was filled with another {", ".join(differ)} ({name} is '
        f'{theirs.get(name)} there and {self._about.get(name)} here): name '
        'another folder, or remove it'
      )
    return filled

  def has(self, text: str) -> bool:
    """Whether the array of a text is there."""
    return self._find(text).is_file()

  def load(self, text: str) -> np.ndarray | None:
    """The array of a text; None where there is none.

    Raises:
      UserError: its file is damaged.
    """
    path = self._find(text)
    try:
      data = path.read_bytes()
    except FileNotFoundError:
      return None
    numbers, crc = data[:-_CRC_BYTES], data[-_CRC_BYTES:]
    if len(data) != self.size or _check(numbers) != crc:
      raise UserError(f'{path} is damaged: remove it and fill the cache again')
    return np.frombuffer(numbers, self._dtype).reshape(self._shape)

  def save(self, text: str, array: np.ndarray) -> None:
    """Keeps the array of a text.

    Raises:
      OSError: of the disk.
    """
    numbers = np.asarray(array, self._dtype).reshape(self._shape).tobytes()
    paths.write_whole(self._find(text), numbers + _check(numbers))

  def find_filled(self, stream: str) -> range:
    """Which texts of a stream were all there, by their numbers."""
    return range(*self._filled.get(stream, (0, 0)))

  def mark_filled(self, stream: str, part: range) -> None:
    """Remembers that the texts of a part of a stream are all there.

    A part that touches the one that is known makes it longer; another one
    takes its place.
    """
    before = self.find_filled(stream)
    if before and part.start <= before.stop and before.start <= part.stop:
      part = range(min(part.start, before.start), max(part.stop, before.stop))
    self._filled[stream] = [part.start, part.stop]
    self.save_index()

  def save_index(self) -> None:
    """Writes what the arrays depend on, to be called before the first."""
    index = {'about': self._about, 'filled': self._filled}
    data = json.dumps(index, indent=1) + '\n'
    paths.write_whole(self.folder / INDEX, data.encode())

  def _find(self, text: str) -> paths.Path:
    whole = f'{json.dumps(self._about, sort_keys=True)}\n{text}'
    name = hashlib.sha256(whole.encode()).hexdigest()
    return self.folder / name[:2] / name


def _check(data: bytes) -> bytes:
  return zlib.crc32(data).to_bytes(_CRC_BYTES, 'little')
