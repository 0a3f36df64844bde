"""Arrays by name in the safetensors format: a header of JSON, then bytes.

Read by every framework; nothing in it can run. Written here rather than with
a library because it is this short.
"""

import json
import pathlib
import struct

import numpy as np

from vbanana_jax.errors import UserError

_TYPES = {'F32': '<f4', 'I32': '<i4', 'U8': 'u1', 'BOOL': '?'}
_NAMES = {np.dtype(dtype): name for name, dtype in _TYPES.items()}
_LENGTH = struct.Struct('<Q')


def to_bytes(arrays: dict[str, np.ndarray]) -> bytes:
  """The content of a .safetensors file; KeyError for other types of numbers."""
  header, parts, end = {}, [], 0
  for name, array in arrays.items():
    array = np.ascontiguousarray(array)
    start, end = end, end + array.nbytes
    header[name] = {
      'dtype': _NAMES[array.dtype],
      'shape': list(array.shape),
      'data_offsets': [start, end],
    }
    parts.append(array.tobytes())
  text = json.dumps(header).encode()
  text += b' ' * (-len(text) % 8)  # numbers start at multiples of 8 bytes
  return b''.join([_LENGTH.pack(len(text)), text, *parts])


def from_bytes(content: bytes, path: pathlib.Path) -> dict[str, np.ndarray]:
  """Arrays that share `content`; UserError naming `path` if it is not whole."""
  try:
    (length,) = _LENGTH.unpack_from(content)
    header = json.loads(content[_LENGTH.size : _LENGTH.size + length])
    arrays = {}
    for name, entry in header.items():
      if name == '__metadata__':
        continue
      start, end = (
        _LENGTH.size + length + offset for offset in entry['data_offsets']
      )
      array = np.frombuffer(content[start:end], _TYPES[entry['dtype']])
      arrays[name] = array.reshape(entry['shape'])
  except (struct.error, ValueError, KeyError, TypeError) as error:
    raise UserError(f'{path}: not a whole safetensors file') from error
  return arrays
