"""Virtual KITTI 2: rendered drives in several weathers."""

import functools
import pathlib
from typing import Any, ClassVar

import numpy as np

from vbanana_jax.benchmark.readers import base, files, vkitti2
from vbanana_jax.datasets import depth_set, kinds, photo_set
from vbanana_jax.errors import UserError

_SKY = 65535
VARIATIONS = vkitti2.VirtualKitti2.splits


class VirtualKitti2(depth_set.DepthSet):
  """Frames of all scenes in some variations, from one camera or both.

  `Scene*/VARIATION/frames/rgb/Camera_N/rgb_NUMBER.jpg`, depth beside it in
  16-bit centimeters of z-depth, whose 65535 is taken as the sky: so is what is
  655 m away. Lines of `Scene*/VARIATION/intrinsic.txt`, below a heading, are
  frame, camera, fx, fy, cx and cy; as cx is (width - 1) / 2 there, its first
  pixel's center is (0, 0).

  Source: Cabon et al., "Virtual KITTI 2", 2020.
  """

  name: ClassVar[str] = 'Virtual KITTI 2'
  license: ClassVar[str] = vkitti2.VirtualKitti2.license
  source: ClassVar[str] = vkitti2.VirtualKitti2.source
  radius: ClassVar[int] = 1
  median_m: ClassVar[tuple[float, float]] = (1.0, 200.0)

  def __init__(self, root, *, variation=(), camera='0', derive_normals=False):
    super().__init__(root, derive_normals=derive_normals)
    cameras = ('0', '1') if camera == 'both' else (camera,)
    entries = []
    for each in variation or ('clone',):
      self._find_split(each, VARIATIONS, 'variation')
      for number in cameras:
        pattern = f'Scene*/{each}/frames/rgb/Camera_{number}/rgb_*.jpg'
        photo_set.check_layout(self.root, (pattern,), self.name, self.source)
        photos = sorted(self.root.glob(pattern))
        entries += [self._make_entry(path) for path in photos]
    self._require(entry.found for entry in entries)
    self._require({_name_camera_file(entry.image) for entry in entries})
    self._set_entries(entries, self.root)

  def _make_entry(self, path: pathlib.Path) -> photo_set.Entry:
    image = path.relative_to(self.root).as_posix()
    scene, variation, _, _, camera, name = image.split('/')
    item = base.make_id(scene, variation, camera, name[4:-4])  # rgb_NUMBER.jpg
    depth = image.replace('/rgb/', '/depth/').replace('/rgb_', '/depth_')
    return photo_set.Entry(item, image, depth.removesuffix('jpg') + 'png')

  def _load_labels(self, entry, photo) -> dict[str, Any]:
    path = self.root / entry.found
    stored = files.load_png16(path)
    depth_m = np.where(stored == _SKY, np.inf, stored / 100.0)
    key = int(entry.image[-9:-4]), int(entry.image.split('/Camera_')[1][0])
    table = self.root / _name_camera_file(entry.image)
    cameras = _load_cameras(table)
    if key not in cameras:
      raise UserError(f'{table}: no line of frame {key[0]}, camera {key[1]}')
    camera = depth_set.count_from_centers(*cameras[key])
    return self._finish(photo, depth_m, path, camera, camera_file=table)


def _name_camera_file(image: str) -> str:
  return '/'.join([*image.split('/')[:2], 'intrinsic.txt'])


@functools.lru_cache(maxsize=64)
def _load_cameras(path: pathlib.Path) -> dict[tuple[int, int], list[float]]:
  """fx, fy, cx and cy by frame and camera."""
  found = {}
  for line in files.load_lines(path)[1:]:
    numbers = depth_set.parse_numbers(line.split(), path, 6)
    found[int(numbers[0]), int(numbers[1])] = numbers[2:]
  return found


KIND = kinds.Kind(
  about='Virtual KITTI 2: rendered drives with depth, sky and intrinsics',
  example='vbanana prepare vkitti2 data/vkitti2 --variation clone '
  '--variation rain --derive-normals --out data/vkitti2_records',
  open=VirtualKitti2,
  flags=(
    kinds.Flag(
      '--variation', 'weather or pose, clone by default', (),
      VARIATIONS, repeats=True,
    ),
    kinds.Flag('--camera', 'the left one, the right one', '0',
               ('0', '1', 'both')),
    depth_set.FLAG,
  ),
)  # fmt: skip
