"""Tensors of a snapshot's safetensors files, read by slices."""

import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import safetensors

from vbanana_jax.errors import UserError

_AGAIN = 'download the snapshot again'


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


def list_tensors(folder: str | os.PathLike, stem: str) -> dict[str, Stored]:
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
    return _list_file(folder / f'{stem}.safetensors')
  places = read_json(index).get('weight_map')
  if not isinstance(places, dict) or not places:
    raise UserError(f'{index} has no weight_map: {_AGAIN}')
  tensors = {}
  for name in sorted(set(places.values())):
    if pathlib.PurePath(name).name != name:
      raise UserError(f'{index}: {name!r} is not a file beside it: {_AGAIN}')
    found = _list_file(folder / name)
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
    raise _unreadable(tensor.file, error) from error


def read_json(path: pathlib.Path) -> dict[str, Any]:
  """A JSON file with an object in it.

  Raises:
    UserError: it is missing, or something else.
  """
  try:
    value = json.loads(path.read_text(encoding='utf-8'))
  except OSError as error:
    raise _unreadable(path, error) from error
  except ValueError as error:
    raise UserError(f'{path} is not JSON ({error}): {_AGAIN}') from error
  if not isinstance(value, dict):
    raise UserError(f'{path} is not a JSON object: {_AGAIN}')
  return value


def _list_file(path: pathlib.Path) -> Mapping[str, Stored]:
  try:
    with safetensors.safe_open(path, framework='np') as file:
      slices = {name: file.get_slice(name) for name in file.keys()}
      return {
        name: Stored(path, tuple(each.get_shape()), each.get_dtype())
        for name, each in slices.items()
      }
  except (OSError, safetensors.SafetensorError) as error:
    raise _unreadable(path, error) from error


def _unreadable(path: pathlib.Path, error: Exception) -> UserError:
  why = getattr(error, 'strerror', None) or str(error)
  return UserError(f'{path} cannot be read ({why}): {_AGAIN}')


def name_some(names: Sequence[str]) -> str:
  """The first three names, and how many follow."""
  more = f' and {len(names) - 3} more' if len(names) > 3 else ''
  return ', '.join(names[:3]) + more
