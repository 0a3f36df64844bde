"""ETH3D: laser-scanned depth of the high-resolution multi-view images."""

import pathlib
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from vbanana_jax.benchmark.readers import base, files

_MEDIAN_M = (0.3, 100.0)  # of one photograph


class Eth3d(base.FolderReader):
  """Depth of the 454 training photographs (13 scenes), 6048 x 4032 pixels.

  `SCENE/images/dslr_images/NAME.JPG` and
  `SCENE/ground_truth_depth/dslr_images/NAME.JPG`; the second is no picture
  but headerless little-endian float32, row by row, in meters, infinite where
  nothing was measured. It belongs to the original, distorted photograph as
  stored.

  Source: Schöps et al., "A Multi-View Stereo Benchmark with High-Resolution
  Images and Multi-Camera Videos", CVPR 2017.
  """

  name: ClassVar[str] = 'ETH3D'
  task: ClassVar[str] = 'depth'
  splits: ClassVar[tuple[str, ...]] = ('training',)
  layout: ClassVar[tuple[str, ...]] = (
    '*/images/dslr_images/*.JPG',
    '*/ground_truth_depth/dslr_images/*.JPG',
  )
  source: ClassVar[str] = (
    'https://www.eth3d.net/datasets (multi_view_training_dslr_jpg and '
    'multi_view_training_dslr_depth, unpacked into one folder)'
  )
  license: ClassVar[str] = 'CC BY-NC-SA 4.0'
  verified: ClassVar[bool] = True

  def _list_items(self) -> Iterator[base.Item]:
    photos = self.glob(self.layout[0])
    self.require([_name_depth(photo) for photo in photos])
    for photo in photos:
      path = pathlib.PurePosixPath(photo)
      yield base.Item(base.make_id(path.parts[0], path.stem), photo)

  def load_image(self, item: base.Item) -> np.ndarray:
    return files.load_rgb(self.root / item.image)

  def load_truth(self, item: base.Item) -> dict[str, np.ndarray]:
    size = files.load_image_size(self.root / item.image)
    path = self.root / _name_depth(item.image)
    depth_m = files.load_raw_float32(path, size)
    return {'depth_m': base.make_depth_m(depth_m, path, median_m=_MEDIAN_M)}


def _name_depth(photo: str) -> str:
  return photo.replace('/images/', '/ground_truth_depth/', 1)
