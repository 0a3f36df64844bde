"""DIODE: laser-scanned depth and normals of the validation scenes."""

import pathlib
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from vbanana_jax.benchmark.readers import base, files
from vbanana_jax.errors import UserError

_FOLDERS = {'val_indoors': 'val/indoors', 'val_outdoor': 'val/outdoor'}
SIZE = (768, 1024)
DEPTH, MASK = '_depth.npy', '_depth_mask.npy'
_MEDIAN_M = (0.2, 350.0)  # of one photograph


class _Diode(base.FolderReader):
  """Photographs of `val/indoors/scene_*/scan_*/` or `val/outdoor/...`."""

  splits: ClassVar[tuple[str, ...]] = tuple(_FOLDERS)
  license: ClassVar[str] = 'MIT'
  suffixes: ClassVar[tuple[str, ...]]  # of the files beside a photograph

  def _list_items(self) -> Iterator[base.Item]:
    photos = self.glob(f'{_FOLDERS[self.split]}/scene_*/scan_*/*.png')
    for suffix in self.suffixes:
      self.require([_beside(photo, suffix) for photo in photos])
    for photo in photos:
      yield base.Item(base.make_id(pathlib.PurePosixPath(photo).stem), photo)

  def load_image(self, item: base.Item) -> np.ndarray:
    path = self.root / item.image
    image = files.load_rgb(path)
    base.check_shapes(image.shape, SIZE, path)
    return image


class DiodeDepth(_Diode):
  """Depth of 325 indoor (or 446 outdoor) photographs of 1024 x 768 pixels.

  Beside `ID.png` stand `ID_depth.npy`, float32 (768, 1024, 1) in meters, and
  `ID_depth_mask.npy` (768, 1024), 1 where the depth is valid.

  Source: Vasiljevic et al., "DIODE: A Dense Indoor and Outdoor DEpth
  Dataset", 2019.
  """

  name: ClassVar[str] = 'DIODE'
  task: ClassVar[str] = 'depth'
  layout: ClassVar[tuple[str, ...]] = ('val/*/scene_*/scan_*/*_depth.npy',)
  source: ClassVar[str] = 'https://diode-dataset.org (val.tar.gz)'
  verified: ClassVar[bool] = True
  suffixes: ClassVar[tuple[str, ...]] = (DEPTH, MASK)

  def load_truth(self, item: base.Item) -> dict[str, np.ndarray]:
    return {'depth_m': _load_depth_m(self.root, item)}


class DiodeNormals(_Diode):
  """Normals of the same photographs, from a separate download.

  Beside `ID.png` stands `ID_normal.npy`, float (768, 1024, 3): x right, y up,
  z to the viewer, zero where there is none. Where the depth is in the folder
  too, x and y are checked against it.

  Source: Vasiljevic et al., "DIODE: A Dense Indoor and Outdoor DEpth
  Dataset", 2019.
  """

  name: ClassVar[str] = 'DIODE normals'
  task: ClassVar[str] = 'normals'
  layout: ClassVar[tuple[str, ...]] = ('val/*/scene_*/scan_*/*_normal.npy',)
  source: ClassVar[str] = (
    'https://diode-dataset.org (val.tar.gz and val_normals.tar.gz, unpacked '
    'into one folder)'
  )
  verified: ClassVar[bool] = False
  suffixes: ClassVar[tuple[str, ...]] = ('_normal.npy',)

  def load_truth(self, item: base.Item) -> dict[str, np.ndarray]:
    path = self.root / _beside(item.image, '_normal.npy')
    stored = files.load_npy(path, shape=(*SIZE, 3), dtypes='f')
    finite = np.isfinite(stored).all(-1, keepdims=True)
    normals = np.where(finite, stored, 0).astype(np.float32)
    base.check_normals(normals, path)
    if (self.root / _beside(item.image, DEPTH)).is_file():
      base.check_mirrored(normals, _load_depth_m(self.root, item), path)
    return {'normals': normals}


def load_masked_depth(path: pathlib.Path, mask: pathlib.Path) -> np.ndarray:
  """Depth [768 1024] as stored, in meters; 0 where the mask is not 1.

  Raises:
    UserError: a file of another shape or type, or a mask of other values.
  """
  depth_m = files.load_npy(path, shape=(*SIZE, 1), dtypes='f')[..., 0]
  valid = files.load_npy(mask, shape=SIZE)
  if not np.isin(valid, (0, 1)).all():
    raise UserError(f'{mask}: values other than 0 and 1: not a mask')
  return np.where(valid == 1, depth_m, 0)


def _load_depth_m(root: pathlib.Path, item: base.Item) -> np.ndarray:
  path = root / _beside(item.image, DEPTH)
  depth_m = load_masked_depth(path, root / _beside(item.image, MASK))
  return base.make_depth_m(depth_m, path, median_m=_MEDIAN_M)


def _beside(photo: str, suffix: str) -> str:
  return photo.removesuffix('.png') + suffix
