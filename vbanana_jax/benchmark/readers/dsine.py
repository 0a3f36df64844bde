"""The normals bundle of DSINE: NYUv2, ScanNet and Virtual KITTI."""

import pathlib
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from vbanana_jax.benchmark.readers import base, files
from vbanana_jax.codecs.normals import SIGNS

# Split -> folder of the truths, and their bits a channel.
_SETS = {
  'nyuv2': ('nyuv2/test', 8),
  'scannet': ('scannet/scene*', 8),
  'vkitti': ('vkitti/Scene*', 16),
}
_SUFFIX = '_normal.png'


class Dsine(base.FolderReader):
  """Normals of 654 NYUv2, 300 ScanNet or 1000 Virtual KITTI pictures.

  In `nyuv2/test/`, `scannet/SCENE/` or `vkitti/SCENE/` stand `ID_img.png` (or
  `.jpg`) and `ID_normal.png`, RGB of 8 bits (Virtual KITTI: 16): the vector
  2 * value / largest - 1, with x left, y up, z to the viewer; black is no
  normal. So the file is painted as Vision Banana paints. Vectors keep the
  lengths that rounding gave them.

  Source: Bae and Davison, "Rethinking Inductive Biases for Surface Normal
  Estimation", CVPR 2024, and its data loaders.
  """

  name: ClassVar[str] = 'DSINE bundle'
  task: ClassVar[str] = 'normals'
  splits: ClassVar[tuple[str, ...]] = tuple(_SETS)
  layout: ClassVar[tuple[str, ...]] = (
    '{split}/*/*_normal.png',
    '{split}/*/*_img.*',
  )
  source: ClassVar[str] = (
    'https://github.com/baegwangbin/DSINE (dsine_eval of its README)'
  )
  license: ClassVar[str] = "each data set's own"
  verified: ClassVar[bool] = True

  def _list_items(self) -> Iterator[base.Item]:
    truths = self.glob(f'{_SETS[self.split][0]}/*{_SUFFIX}')
    photos = [self._find_photo(truth) for truth in truths]
    self.require(photos)
    for truth, photo in zip(truths, photos):
      path = pathlib.PurePosixPath(truth)
      number = path.name.removesuffix(_SUFFIX)
      yield base.Item(base.make_id(path.parts[-2], number), photo)

  def _find_photo(self, truth: str) -> str:
    stem = truth.removesuffix(_SUFFIX)
    places = [f'{stem}_img.png', f'{stem}_img.jpg']
    found = (place for place in places if (self.root / place).is_file())
    return next(found, places[0])

  def load_image(self, item: base.Item) -> np.ndarray:
    return files.load_rgb(self.root / item.image)

  def load_truth(self, item: base.Item) -> dict[str, np.ndarray]:
    path = self.root / (item.image.rsplit('_img.', 1)[0] + _SUFFIX)
    bits = _SETS[self.split][1]
    rgb = files.load_png_rgb(path, bits)
    size = files.load_image_size(self.root / item.image)
    base.check_shapes(rgb.shape, size, path)
    valid = rgb.any(-1, keepdims=True)
    stored = 2.0 * rgb.astype(np.float64) / (2**bits - 1) - 1.0
    normals = np.where(valid, stored * SIGNS, 0.0).astype(np.float32)
    return {'normals': base.check_normals(normals, path)}
