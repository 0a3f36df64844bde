"""NYU Depth v2: the labeled frames, from their MATLAB container."""

import contextlib
import pathlib
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from vbanana_jax.benchmark.readers import base, files
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import paths

_CONTAINER = 'nyu_depth_v2_labeled.mat'
_SPLITS = 'splits.mat'
_MEDIAN_M = (0.4, 10.0)  # of one frame
_KEYS = {'test': 'testNdxs', 'train': 'trainNdxs'}


class NyuV2(base.FolderReader):
  """Depth of 654 test frames of 640 x 480 pixels, in meters.

  `nyu_depth_v2_labeled.mat` is HDF5 whose axes come reversed: `images` uint8
  (n, 3, 640, 480) and `rawDepths` float32 (n, 640, 480), 0 where the sensor
  saw nothing; the in-painted `depths` is not used. `splits.mat` counts frames
  from 1, and so do the ids.

  Source: Silberman et al., "Indoor Segmentation and Support Inference from
  RGBD Images", ECCV 2012.
  """

  name: ClassVar[str] = 'NYUv2'
  task: ClassVar[str] = 'depth'
  splits: ClassVar[tuple[str, ...]] = tuple(_KEYS)
  layout: ClassVar[tuple[str, ...]] = (_CONTAINER, _SPLITS)
  source: ClassVar[str] = (
    'https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html'
  )
  license: ClassVar[str] = 'none stated; the authors ask to be cited'
  verified: ClassVar[bool] = False

  def _list_items(self) -> Iterator[base.Item]:
    path = self.root / _CONTAINER
    with _open_hdf5(path) as container:
      frames = _get(container, 'rawDepths', path, 3).shape[0]
      if _get(container, 'images', path, 4).shape[0] != frames:
        raise UserError(f'{path}: images and rawDepths differ in number')
    for number in _load_split(self.root / _SPLITS, _KEYS[self.split]):
      if not 1 <= number <= frames:
        raise UserError(
          f'{self.root / _SPLITS}: frame {number}, the container has 1 to '
          f'{frames}'
        )
      yield base.Item(f'{number:04d}', '')

  def load_image(self, item: base.Item) -> np.ndarray:
    image = self._load_frame(item, 'images', 4)
    if image.dtype != np.uint8 or image.shape[0] != 3:
      raise UserError(
        f'{self.root / _CONTAINER}: images are {image.dtype} {image.shape}, '
        'expected uint8 (3, width, height)'
      )
    return np.ascontiguousarray(image.transpose(2, 1, 0))

  def load_truth(self, item: base.Item) -> dict[str, np.ndarray]:
    depth_m = self._load_frame(item, 'rawDepths', 3)
    place = f'{self.root / _CONTAINER}, frame {item.id}'
    if depth_m.dtype.kind != 'f':
      raise UserError(f'{place}: rawDepths are {depth_m.dtype}, not meters')
    depth_m = np.ascontiguousarray(depth_m.T)
    return {'depth_m': base.make_depth_m(depth_m, place, median_m=_MEDIAN_M)}

  def _load_frame(self, item, key, axes) -> np.ndarray:
    path = self.root / _CONTAINER
    with _open_hdf5(path) as container:
      return np.asarray(_get(container, key, path, axes)[int(item.id) - 1])


@contextlib.contextmanager
def _open_hdf5(path: pathlib.Path):
  """An HDF5 file; errors of its reader, also later ones, name the file."""
  paths.refuse_bucket(path, 'an HDF5 file cannot be read')
  try:
    import h5py
  except ImportError as error:
    raise files.make_missing_extra(path, 'h5py') from error
  try:
    with h5py.File(path, 'r') as container:
      yield container
  except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
    raise UserError(f'{path}: not a whole HDF5 file ({error})') from error


def _get(container, key: str, path: pathlib.Path, axes: int):
  stored = container.get(key)
  if getattr(stored, 'ndim', None) != axes:
    raise UserError(f'{path}: no array {key!r} of {axes} axes in it')
  return stored


def _load_split(path: pathlib.Path, key: str) -> list[int]:
  """Frame numbers, from 1, of a MATLAB 5 file."""
  try:
    import scipy.io
  except ImportError as error:
    raise files.make_missing_extra(path, 'scipy') from error
  encoded = files.load_bytes(path)
  if not encoded.startswith(b'MATLAB 5.0'):
    raise UserError(f'{path}: not a MATLAB 5 file')
  try:
    numbers = scipy.io.loadmat(path, variable_names=[key])[key]
  except KeyError as error:
    raise UserError(f'{path}: no variable {key!r} in it') from error
  except (*files.DAMAGED, scipy.io.matlab.MatReadError) as error:
    raise UserError(f'{path}: damaged MATLAB file ({error})') from error
  if numbers.dtype.kind not in 'uif' or (numbers != np.round(numbers)).any():
    raise UserError(f'{path}: {key!r} does not hold frame numbers')
  return [int(number) for number in numbers.ravel()]
