"""Files that are either whole or not there."""

import io
import json
import os
import reprlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from PIL import Image

from vbanana_jax import errors
from vbanana_jax.runtime import paths


def write_atomic(path: str | os.PathLike, data: bytes) -> paths.Path:
  """Writes a file, and its folder, so that no reader sees half of it.

  A failed write leaves the old one.

  Raises:
    UserError: the folder cannot be made, or the file cannot be written.
    DiskFullError: there is no room.
  """
  return write_together({paths.to_path(path): data})[0]


def write_together(contents: Mapping[paths.Path, bytes]) -> list[paths.Path]:
  """Writes files that say one thing, all of them or none; their paths.

  Args:
    contents: by path, in the order in which they appear; the last one tells
      that the others are there.

  Raises:
    UserError: a folder cannot be made, or a file cannot be written.
    DiskFullError: there is no room.
  """
  last = list(contents)[-1]
  try:
    paths.write_all_whole(contents)
  except OSError as error:
    if errors.is_disk_full(error):
      raise errors.DiskFullError(
        f'cannot write {last}: {error.strerror}: make room and run the same '
        'command again'
      ) from error
    raise errors.UserError(
      f'cannot write {last}: {error.strerror}; choose another place'
    ) from error
  return list(contents)


def check_folder(folder: str | os.PathLike) -> None:
  """Asks, before long work, whether files can be written into a folder.

  Raises:
    UserError: it cannot be made, or not be written to.
  """
  try:
    paths.check_writable(paths.to_path(folder))
  except OSError as error:
    raise errors.UserError(
      f'cannot write into {folder}: {error.filename}: {error.strerror}; choose '
      'another place'
    ) from error


def check_free(
  record: paths.Path, wanted: Mapping[str, Any], others: Iterable[str]
) -> None:
  """Asks whether files may be written where some may lie.

  Those of an earlier answer to the same are replaced. Anything else stays.

  Args:
    record: the JSON file that says what the files beside it are.
    wanted: what it is going to say, as JSON: names and values.
    others: names of the files beside it.

  Raises:
    UserError: it says another thing there, or others are there without it.
  """
  if not record.exists():
    for path in (record.with_name(name) for name in others):
      if path.exists():
        raise errors.UserError(
          f'{path} is there, and no {record.name} says what it is: choose '
          'another --out, or --overwrite it'
        )
    return
  try:
    there = json.loads(record.read_bytes())
  except ValueError:
    there = {}
  if difference := _find_difference(wanted, there):
    raise errors.UserError(
      f'{record} is of something else ({difference}): choose another --out, or '
      '--overwrite it'
    )


def _find_difference(wanted: Any, there: Any, name: str = '') -> str:
  """The first of the values in `wanted` that another has, and both."""
  if isinstance(wanted, Mapping) and isinstance(there, Mapping):
    below = (
      _find_difference(value, there.get(key), f'{name}.{key}'.strip('.'))
      for key, value in wanted.items()
    )
    return next(filter(None, below), '')
  texts = [reprlib.repr(value) for value in (there, wanted)]
  return '' if wanted == there else f'{name} {texts[0]}, not {texts[1]}'.strip()


def to_png(picture_u8: np.ndarray) -> bytes:
  """uint8 [h w 3] as the bytes of a PNG file."""
  buffer = io.BytesIO()
  # A tenth longer than at zlib's default of 6, in two fifths of the time.
  Image.fromarray(picture_u8).save(buffer, 'PNG', compress_level=4)
  return buffer.getvalue()


def to_npy(value: np.ndarray) -> bytes:
  """An array as the bytes of a .npy file."""
  buffer = io.BytesIO()
  np.save(buffer, value, allow_pickle=False)
  return buffer.getvalue()


def to_npz(arrays: dict[str, np.ndarray]) -> bytes:
  """Arrays by name as the bytes of a compressed .npz file."""
  buffer = io.BytesIO()
  np.savez_compressed(buffer, **arrays)
  return buffer.getvalue()
