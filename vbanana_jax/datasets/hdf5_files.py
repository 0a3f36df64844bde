"""Arrays of HDF5 files, which need the extra `benchmarks`."""

import pathlib

import numpy as np

from vbanana_jax.benchmark.readers import files
from vbanana_jax.data import photos
from vbanana_jax.errors import UserError


def load_array(
  path: pathlib.Path, key: str, shape: tuple[int | None, ...]
) -> np.ndarray:
  """One array of numbers.

  Args:
    path: of the file.
    key: of the array.
    shape: expected; None stands for any length of an axis.

  Raises:
    UserError: h5py is not installed, or there is no such array.
  """
  try:
    import h5py
  except ImportError as error:
    raise files.make_missing_extra(path, 'h5py') from error
  if not path.is_file():
    raise UserError(f'{path}: no such file')
  try:
    with h5py.File(path, 'r') as container:
      stored = container.get(key)
      found = getattr(stored, 'shape', None)
      if found is None or len(found) != len(shape) or stored.dtype.kind not in (
        'f', 'i', 'u'
      ):  # fmt: skip
        raise UserError(f'{path}: no array {key!r} of {len(shape)} axes in it')
      if any(n is not None and n != m for n, m in zip(shape, found)):
        raise UserError(f'{path}: shape {found}, expected {shape}')
      if np.prod(found[:2], dtype=np.int64) > photos.MAX_PIXELS:
        raise UserError(f'{path}: {found}: at most {photos.MAX_PIXELS} pixels')
      return np.asarray(stored)
  except files.DAMAGED as error:
    raise UserError(f'{path}: not a whole HDF5 file ({error})') from error
