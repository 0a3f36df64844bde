"""ScanNet, and scans extracted to the same folders."""

import pathlib
from typing import Any, ClassVar

import numpy as np

from vbanana_jax.benchmark.readers import base, files
from vbanana_jax.data import image_formats
from vbanana_jax.datasets import depth_set, kinds, photo_set
from vbanana_jax.errors import UserError

_PER_METER = 1000.0
_INTRINSICS = ('intrinsic/intrinsic_color.txt', 'intrinsic_color.txt')


class ScanNet(depth_set.DepthSet):
  """Frames of scans as the set's reader of .sens files extracts them.

  `SCENE/color/NUMBER.jpg`, `SCENE/depth/NUMBER.png` in 16-bit millimeters of
  z-depth, and `SCENE/intrinsic/intrinsic_color.txt`, 4 x 4. Depth is of another
  size than its photograph, 640 x 480 and 1296 x 968: each pixel of the
  photograph gets the depth of the nearest one. The two cameras are taken as
  one, as the set's users do, and the first pixel's center as (0, 0).

  Source: Dai et al., "ScanNet: Richly-annotated 3D Reconstructions of Indoor
  Scenes", CVPR 2017.
  """

  name: ClassVar[str] = 'ScanNet'
  license: ClassVar[str] = 'terms of use to be signed'
  source: ClassVar[str] = 'http://www.scan-net.org'
  median_m: ClassVar[tuple[float, float]] = (0.2, 12.0)
  any_size: ClassVar[bool] = True

  def __init__(self, root, *, list='', step=1, derive_normals=False):
    super().__init__(root, derive_normals=derive_normals)
    scenes = self._find_scenes(list)
    entries = []
    for scene in scenes:
      depths = sorted((self.root / scene / 'depth').glob('*.png'), key=_number)
      entries += [self._make_entry(scene, path) for path in depths[::step]]
    self._require(entry.image for entry in entries)
    self._require({entry.found[1] for entry in entries})
    self._set_entries(entries, self.root)

  def _find_scenes(self, list: str) -> list[str]:
    if list:
      place = pathlib.Path(list)
      return [base.check_name(x, place) for x in files.load_lines(place)]
    found = sorted(path.parent for path in self.root.glob('*/depth'))
    if not found:
      raise UserError(
        f'{self.root}: no SCENE/depth in it: extract the .sens files of '
        f'{self.name} ({self.source}) first'
      )
    return [path.name for path in found]

  def _make_entry(self, scene: str, path: pathlib.Path) -> photo_set.Entry:
    places = [
      f'{scene}/color/{path.stem}{ending}' for ending in image_formats.SUFFIXES
    ]
    there = (place for place in places if (self.root / place).is_file())
    image = next(there, f'{scene}/color/{path.stem}.jpg')
    cameras = [f'{scene}/{name}' for name in _INTRINSICS]
    there = (place for place in cameras if (self.root / place).is_file())
    depth = path.relative_to(self.root).as_posix()
    item = base.make_id(scene, path.stem)
    return photo_set.Entry(item, image, (depth, next(there, cameras[0])))

  def _load_labels(self, entry, photo) -> dict[str, Any]:
    depth, camera = (self.root / name for name in entry.found)
    depth_m = files.load_png16(depth) / _PER_METER
    numbers = depth_set.load_numbers(camera, 9, 16)
    values = depth_set.read_matrix(numbers)
    return self._finish(
      photo,
      np.where(depth_m > 0, depth_m, np.nan),
      depth,
      depth_set.count_from_centers(*values),
      camera_file=camera,
    )


def _number(path: pathlib.Path):
  return (int(path.stem), '') if path.stem.isdigit() else (0, path.stem)


KIND = kinds.Kind(
  about='ScanNet and scans like it: color/, depth/ and intrinsic/ a scene',
  example='vbanana prepare scannet scannet/scans --list train.txt --step 20 '
  '--derive-normals --out data/scannet',
  open=ScanNet,
  flags=(
    kinds.Flag('--list', 'file with the names of the scenes to take', ''),
    depth_set.STEP,
    depth_set.FLAG,
  ),
)
