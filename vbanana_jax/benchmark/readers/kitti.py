"""KITTI depth: the Eigen test frames, and the official selection."""

import pathlib
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from vbanana_jax.benchmark.readers import base, files
from vbanana_jax.errors import UserError

_LIST = 'eigen_test_files_with_gt.txt'
_FOLDERS = ('', 'train/', 'val/')  # the benchmark's zip has the last two
_MEDIAN_M = (1.0, 90.0)  # of one frame; an 8-bit map stays below 1 m
_SELECTION = 'val_selection_cropped'


class KittiEigen(base.FolderReader):
  """Improved LiDAR depth of the Eigen split: 652 of its 697 frames have one.

  Each line of `eigen_test_files_with_gt.txt` is `photo depth focal`, with
  `None` where a frame has no depth map; those are skipped. Photos are in
  `raw/`, in KITTI's own folders; depth maps in `depth/`, with or without the
  `train/` and `val/` of KITTI's zip. A depth map is a 16-bit PNG, meters =
  value / 256, 0 where nothing was measured. Frames differ in size and are not
  cropped here.

  Source: Eigen et al., NIPS 2014; Uhrig et al., 3DV 2017.
  """

  name: ClassVar[str] = 'KITTI (Eigen)'
  task: ClassVar[str] = 'depth'
  splits: ClassVar[tuple[str, ...]] = ('eigen',)
  layout: ClassVar[tuple[str, ...]] = (_LIST, 'raw', 'depth')
  source: ClassVar[str] = (
    'https://www.cvlibs.net/datasets/kitti (raw data, annotated depth maps) '
    f'and {_LIST} of https://github.com/cleinc/bts'
  )
  license: ClassVar[str] = 'CC BY-NC-SA 3.0'
  verified: ClassVar[bool] = True

  def _list_items(self) -> Iterator[base.Item]:
    path = self.root / _LIST
    self._depths = {}
    photos = []
    for line in files.load_lines(path):
      fields = line.split()
      if len(fields) < 2:
        raise UserError(f'{path}: {line!r} is not `photo depth focal`')
      if fields[1] == 'None':
        continue
      photo = base.check_name(fields[0], path)
      parts = pathlib.PurePosixPath(photo).parts
      if len(parts) < 4:
        raise UserError(f'{path}: {photo!r} has no drive and camera')
      # 2011_09_26/DRIVE/image_02/data/FRAME.png
      drive, camera, frame = parts[-4], parts[-3], parts[-1]
      item_id = base.make_id(drive, camera, pathlib.PurePosixPath(frame).stem)
      self._depths[item_id] = self._find_depth(base.check_name(fields[1], path))
      photos.append(base.Item(item_id, f'raw/{photo}'))
    self.require([item.image for item in photos])
    self.require(list(self._depths.values()))
    return iter(photos)

  def _find_depth(self, name: str) -> str:
    places = [f'depth/{folder}{name}' for folder in _FOLDERS]
    found = (place for place in places if (self.root / place).is_file())
    return next(found, places[0])

  def load_image(self, item: base.Item) -> np.ndarray:
    return files.load_rgb(self.root / item.image)

  def load_truth(self, item: base.Item) -> dict[str, np.ndarray]:
    path = self.root / self._depths[item.id]
    size = files.load_image_size(self.root / item.image)
    return {'depth_m': load_depth_m(path, size)}


class KittiOfficial(base.FolderReader):
  """The 1000 validation frames of KITTI's depth benchmark, 1216 x 352.

  `val_selection_cropped/image/*.png` and, under the same name with
  `groundtruth_depth` for the first `image`, 16-bit depth maps as in the Eigen
  frames.

  Source: Uhrig et al., "Sparsity Invariant CNNs", 3DV 2017.
  """

  name: ClassVar[str] = 'KITTI (official)'
  task: ClassVar[str] = 'depth'
  splits: ClassVar[tuple[str, ...]] = ('val_selection',)
  layout: ClassVar[tuple[str, ...]] = (
    f'{_SELECTION}/image/*.png',
    f'{_SELECTION}/groundtruth_depth/*.png',
  )
  source: ClassVar[str] = (
    'https://www.cvlibs.net/datasets/kitti/eval_depth_all.php '
    '(data_depth_selection.zip)'
  )
  license: ClassVar[str] = 'CC BY-NC-SA 3.0'
  verified: ClassVar[bool] = True

  def _list_items(self) -> Iterator[base.Item]:
    photos = self.glob(self.layout[0])
    self.require([_name_depth(photo) for photo in photos])
    for photo in photos:
      yield base.Item(base.make_id(pathlib.PurePosixPath(photo).stem), photo)

  def load_image(self, item: base.Item) -> np.ndarray:
    return files.load_rgb(self.root / item.image)

  def load_truth(self, item: base.Item) -> dict[str, np.ndarray]:
    size = files.load_image_size(self.root / item.image)
    path = self.root / _name_depth(item.image)
    return {'depth_m': load_depth_m(path, size)}


def load_depth_m(path: pathlib.Path, size: tuple[int, int]) -> np.ndarray:
  """A depth map of KITTI, checked against the photograph's size."""
  stored = files.load_png16(path)
  base.check_shapes(stored.shape, size, path)
  return base.make_depth_m(stored / 256.0, path, median_m=_MEDIAN_M)


def _name_depth(photo: str) -> str:
  name = pathlib.PurePosixPath(photo).name
  name = name.replace('_image_', '_groundtruth_depth_', 1)
  return f'{_SELECTION}/groundtruth_depth/{name}'
