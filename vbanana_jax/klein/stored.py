"""Tensors of a snapshot's safetensors files, read by slices."""

import json
import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

from vbanana_jax.errors import UserError

# Bytes of a number, by the name of its type.
ITEM_BYTES = {'BF16': 2, 'F16': 2, 'F32': 4}
_AGAIN = 'download the snapshot again'
_COUNT = 8  # bytes that say how long a header is


class Stored(NamedTuple):
  """What a file says of one tensor.

  Attributes:
    file: where it is.
    shape: as stored.
    dtype: as safetensors names it, 'BF16'.
  """

  file: pathlib.Path
  shape: tuple[int, ...]
  dtype: str


Tensors = dict[str, Stored]


def list_tensors(folder: str | os.PathLike, stem: str) -> Tensors:
  """All tensors of one part of a snapshot; only headers are read.

  Args:
    folder: of the part.
    stem: name of its one file without the suffix, or of its index.

  Raises:
    UserError: a file is missing or damaged, or is not what the index says.
  """
  folder = pathlib.Path(folder)
  index = folder / f'{stem}.safetensors.index.json'
  if not index.exists():
    return list_file(folder / f'{stem}.safetensors')
  places = read_json(index).get('weight_map')
  if not isinstance(places, dict) or not places:
    raise UserError(f'{index} has no weight_map: {_AGAIN}')
  tensors = {}
  for name in sorted(set(places.values())):
    if pathlib.PurePath(name).name != name:
      raise UserError(f'{index}: {name!r} is not a file beside it: {_AGAIN}')
    found = list_file(folder / name)
    said = {tensor for tensor, file in places.items() if file == name}
    if wrong := sorted(said ^ set(found)):
      raise UserError(
        f'{index} and {name} disagree about {name_some(wrong)}: {_AGAIN}'
      )
    tensors |= found
  return tensors


def read(tensor: Stored, name: str, part: tuple[slice, ...]) -> np.ndarray:
  """One part of a tensor; nothing else of the file is read.

  Raises:
    UserError: the file is gone or damaged since its header was read.
  """
  try:
    with safetensors.safe_open(tensor.file, framework='np') as file:
      if not part:
        return file.get_tensor(name)
      return file.get_slice(name)[part]
  except (OSError, safetensors.SafetensorError) as error:
    raise unreadable(tensor.file, error) from error


class Header(NamedTuple):
  """The beginning of a file of tensors.

  Attributes:
    data: its bytes, up to the first number.
    spans: the first byte of each tensor and the one behind its last, counted
      from the beginning of the file, in the order in which they lie.
  """

  data: bytes
  spans: dict[str, tuple[int, int]]


def read_header(path: pathlib.Path) -> Header:
  """The header of a file that `list_file` has passed.

  Raises:
    UserError: the file is gone or damaged meanwhile.
  """
  try:
    with path.open('rb') as file:
      first = file.read(_COUNT)
      data = first + file.read(int.from_bytes(first, 'little'))
    entries = json.loads(data[_COUNT:])
  except (OSError, ValueError) as error:
    raise unreadable(path, error) from error
  entries.pop('__metadata__', None)
  spans = {
    name: tuple(len(data) + offset for offset in entry['data_offsets'])
    for name, entry in entries.items()
  }
  return Header(data, dict(sorted(spans.items(), key=lambda item: item[1])))


def make_header(tensors: Mapping[str, tuple[str, tuple[int, ...]]]) -> Header:
  """The header of a new file, as the library of the format lays it out.

  Args:
    tensors: type, as safetensors names it, and shape by name.
  """
  entries: dict[str, Any] = {'__metadata__': {'format': 'pt'}}
  end = 0
  sizes = {name: ITEM_BYTES[dtype] for name, (dtype, _) in tensors.items()}
  for name in sorted(tensors, key=lambda name: (-sizes[name], name)):
    dtype, shape = tensors[name]
    start, end = end, end + sizes[name] * math.prod(shape)
    entries[name] = {
      'dtype': dtype,
      'shape': list(shape),
      'data_offsets': [start, end],
    }
  text = json.dumps(entries, separators=(',', ':')).encode()
  text += b' ' * (-len(text) % _COUNT)
  data = len(text).to_bytes(_COUNT, 'little') + text
  spans = {
    name: tuple(len(data) + offset for offset in entry['data_offsets'])
    for name, entry in entries.items()
    if name != '__metadata__'
  }
  return Header(data, spans)


def read_json(path: pathlib.Path) -> dict[str, Any]:
  """A JSON file with an object in it.

  Raises:
    UserError: it is missing, or something else.
  """
  try:
    value = json.loads(path.read_text(encoding='utf-8'))
  except OSError as error:
    raise unreadable(path, error) from error
  except ValueError as error:
    raise UserError(f'{path} is not JSON ({error}): {_AGAIN}') from error
  if not isinstance(value, dict):
    raise UserError(f'{path} is not a JSON object: {_AGAIN}')
  return value


def list_file(path: pathlib.Path) -> Tensors:
  """All tensors of one file; only its header is read.

  Raises:
    UserError: it is missing or damaged.
  """
  try:
    with safetensors.safe_open(path, framework='np') as file:
      slices = {name: file.get_slice(name) for name in file.keys()}
      return {
        name: Stored(path, tuple(each.get_shape()), each.get_dtype())
        for name, each in slices.items()
      }
  except (OSError, safetensors.SafetensorError) as error:
    raise unreadable(path, error) from error


def read_metadata(path: pathlib.Path) -> dict[str, str]:
  """Texts in the header of a file that `list_file` has passed."""
  with safetensors.safe_open(path, framework='np') as file:
    return file.metadata() or {}


def make_file(
  tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> bytes:
  """A whole file of small tensors."""
  return safetensors.numpy.save(dict(tensors), dict(metadata))


def unreadable(path: pathlib.Path, error: Exception) -> UserError:
  """What to tell of a file of a snapshot that cannot be read."""
  why = getattr(error, 'strerror', None) or str(error)
  return UserError(f'{path} cannot be read ({why}): {_AGAIN}')


def name_some(names: Sequence[str]) -> str:
  """The first three names, and how many follow."""
  more = f' and {len(names) - 3} more' if len(names) > 3 else ''
  return ', '.join(names[:3]) + more
