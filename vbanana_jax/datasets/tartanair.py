"""TartanAir: rendered flights through many environments."""

import pathlib
from typing import Any, ClassVar

import numpy as np

from vbanana_jax import labels
from vbanana_jax.benchmark.readers import base, files
from vbanana_jax.datasets import depth_set, kinds, photo_set
from vbanana_jax.errors import UserError

# 640 x 480 pixels, 90 degrees wide: the set's documentation says f 320.
_CAMERA = labels.Intrinsics(320.0, 320.0, 320.0, 240.0)
_SIZE = (480, 640)
_SKY_M = 1000.0


class TartanAir(depth_set.DepthSet):
  """Pictures of the left camera, 640 x 480, with z-depth.

  `.../P*/image_left/NUMBER_left.png` and `.../P*/depth_left/
  NUMBER_left_depth.npy`, float32 meters, with whatever folders above (as
  ENVIRONMENT/Easy/P001). The renderer gives the sky some very large depth: 1000
  m and more is taken as sky.

  Source: Wang et al., "TartanAir: A Dataset to Push the Limits of Visual SLAM",
  IROS 2020. The threshold of the sky is this project's.
  """

  name: ClassVar[str] = 'TartanAir'
  license: ClassVar[str] = 'CC BY 4.0, to be checked at its source'
  source: ClassVar[str] = 'https://theairlab.org/tartanair-dataset'
  radius: ClassVar[int] = 1
  median_m: ClassVar[tuple[float, float]] = (0.1, 500.0)

  def __init__(self, root, *, derive_normals=False):
    super().__init__(root, derive_normals=derive_normals)
    photos = sorted(self.root.glob('**/image_left/*_left.png'))
    if not photos:
      raise UserError(
        f'{self.root}: no image_left/*_left.png below it: get {self.name} from '
        f'{self.source}'
      )
    entries = [self._make_entry(path) for path in photos]
    self._require(entry.found for entry in entries)
    self._set_entries(entries, self.root)

  def _make_entry(self, path: pathlib.Path) -> photo_set.Entry:
    image = path.relative_to(self.root).as_posix()
    *folders, _, name = image.split('/')
    stem = name.removesuffix('.png')
    depth = '/'.join([*folders, 'depth_left', f'{stem}_depth.npy'])
    item = base.make_id(*folders, stem.removesuffix('_left'))
    return photo_set.Entry(item, image, depth)

  def _load_labels(self, entry, photo) -> dict[str, Any]:
    path = self.root / entry.found
    depth_m = files.load_npy(path, shape=_SIZE, dtypes='f')
    depth_m = np.where(depth_m >= _SKY_M, np.inf, depth_m)
    return self._finish(photo, depth_m, path, _CAMERA)


KIND = kinds.Kind(
  about='TartanAir: rendered flights with depth, sky and intrinsics',
  example='vbanana prepare tartanair data/tartanair --derive-normals '
  '--out data/tartanair_records',
  open=TartanAir,
  flags=(depth_set.FLAG,),
)
