"""Virtual KITTI 2: rendered depth of driving scenes."""

import pathlib
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from vbanana_jax.benchmark.readers import base, files

_SKY = 65535
_MEDIAN_M = (1.0, 200.0)  # of one frame
_CAMERA = 'Camera_0'  # the left one


class VirtualKitti2(base.FolderReader):
  """Depth of every frame of the left camera; a split is a weather or pose.

  `Scene*/SPLIT/frames/rgb/Camera_0/rgb_NUMBER.jpg` and
  `.../depth/Camera_0/depth_NUMBER.png`, 16-bit centimeters; 65535, the sky,
  counts as not measured.

  Source: Cabon et al., "Virtual KITTI 2", 2020.
  """

  name: ClassVar[str] = 'Virtual KITTI 2'
  task: ClassVar[str] = 'depth'
  splits: ClassVar[tuple[str, ...]] = (
    'clone', 'fog', 'morning', 'overcast', 'rain', 'sunset', '15-deg-left',
    '15-deg-right', '30-deg-left', '30-deg-right',
  )  # fmt: skip
  layout: ClassVar[tuple[str, ...]] = (
    f'Scene*/{{split}}/frames/rgb/{_CAMERA}/rgb_*.jpg',
    f'Scene*/{{split}}/frames/depth/{_CAMERA}/depth_*.png',
  )
  source: ClassVar[str] = (
    'https://europe.naverlabs.com/research/computer-vision/'
    'proxy-virtual-worlds-vkitti-2 (rgb and depth, unpacked into one folder)'
  )
  license: ClassVar[str] = 'CC BY-NC-SA 3.0'
  verified: ClassVar[bool] = True

  def _list_items(self) -> Iterator[base.Item]:
    photos = self.glob(self.layout[0].replace('{split}', self.split))
    self.require([_name_depth(photo) for photo in photos])
    for photo in photos:
      path = pathlib.PurePosixPath(photo)
      number = path.stem.removeprefix('rgb_')
      yield base.Item(base.make_id(path.parts[0], self.split, number), photo)

  def load_image(self, item: base.Item) -> np.ndarray:
    return files.load_rgb(self.root / item.image)

  def load_truth(self, item: base.Item) -> dict[str, np.ndarray]:
    path = self.root / _name_depth(item.image)
    size = files.load_image_size(self.root / item.image)
    stored = files.load_png16(path)
    base.check_shapes(stored.shape, size, path)
    depth_m = np.where(stored == _SKY, 0, stored) / 100.0
    return {'depth_m': base.make_depth_m(depth_m, path, median_m=_MEDIAN_M)}


def _name_depth(photo: str) -> str:
  number = pathlib.PurePosixPath(photo).stem.removeprefix('rgb_')
  folder = photo.split('/rgb/')[0]
  return f'{folder}/depth/{_CAMERA}/depth_{number}.png'
