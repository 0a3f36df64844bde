"""KITTI depth, to train on: drives of its depth benchmark."""

import functools
import pathlib
from typing import Any, ClassVar

import numpy as np

from vbanana_jax import labels
from vbanana_jax.benchmark.readers import base, files
from vbanana_jax.benchmark.readers import kitti as reader
from vbanana_jax.datasets import depth_set, kinds, photo_set
from vbanana_jax.errors import UserError

_EIGEN = 'eigen_test_files_with_gt.txt'
_CALIBRATION = 'calib_cam_to_cam.txt'
_GROUND = 'proj_depth/groundtruth'


class Kitti(depth_set.DepthSet):
  """Frames with improved LiDAR depth, without the drives that are tested on.

  `depth/SPLIT/DRIVE/proj_depth/groundtruth/image_0N/FRAME.png` as in the
  benchmark's zip (the first folder may be missing), 16 bits, meters = value /
  256, 0 where nothing was measured; photographs in `raw/DATE/DRIVE/image_0N/
  data/FRAME.png` (or `.jpg`), cameras in `raw/DATE/calib_cam_to_cam.txt`, whose
  first pixel's center is taken as (0, 0). Every drive that
  `eigen_test_files_with_gt.txt` names is left out whole, as its frames resemble
  each other; some are in either split of the zip.

  Source: Uhrig et al., "Sparsity Invariant CNNs", 3DV 2017.
  """

  name: ClassVar[str] = 'KITTI depth'
  license: ClassVar[str] = reader.KittiEigen.license
  source: ClassVar[str] = reader.KittiEigen.source
  median_m: ClassVar[tuple[float, float]] = (1.0, 90.0)

  def __init__(self, root, *, split='train', step=1, derive_normals=False):
    super().__init__(root, derive_normals=derive_normals)
    folder = self.root / 'depth' / split
    if not folder.is_dir():
      folder = self.root / split
    found = sorted(folder.glob(f'*/{_GROUND}/image_0*/*.png'))
    if not found:
      raise UserError(
        f'{self.root}: no depth/{split}/DRIVE/{_GROUND}/image_02/*.png: get '
        f'{self.name} from {self.source}'
      )
    tested = self._find_tested_drives()
    kept = [path for path in found if path.parts[-5] not in tested]
    if tested:
      left_out = len(found) - len(kept)
      self.exclusions = (
        {'name': _EIGEN, 'drives': len(tested), 'left_out': left_out},
      )
    entries = [self._make_entry(path) for path in kept[::step]]
    self._require(entry.image for entry in entries)
    self._require({_name_calibration(entry.image) for entry in entries})
    self._set_entries(entries, folder)

  def _find_tested_drives(self) -> set[str]:
    path = self.root / _EIGEN
    if not path.is_file():
      self.notes.append(
        f'no {_EIGEN} in {self.root}: drives that kitti_eigen_depth scores may '
        'be among these'
      )
      return set()
    lines = files.load_lines(path)
    drives = {name for line in lines for name in line.split('/')[1:2]}
    self.notes.append(f'{len(drives)} drives of {_EIGEN} are left out')
    return drives

  def _make_entry(self, path: pathlib.Path) -> photo_set.Entry:
    drive, camera, frame = path.parts[-5], path.parts[-2], path.stem
    stem = f'raw/{drive[:10]}/{drive}/{camera}/data/{frame}'
    places = [f'{stem}.png', f'{stem}.jpg']
    there = (place for place in places if (self.root / place).is_file())
    item = base.make_id(drive, camera, frame)
    return photo_set.Entry(item, next(there, places[0]), path)

  def _load_labels(self, entry, photo) -> dict[str, Any]:
    path = entry.found
    depth_m = files.load_png16(path) / 256.0
    table = self.root / _name_calibration(entry.image)
    number = int(path.parts[-2][-2:])
    camera = _load_cameras(table).get(number)
    if camera is None:
      raise UserError(f'{table}: no line P_rect_{number:02d}')
    depth_m = np.where(depth_m > 0, depth_m, np.nan)
    return self._finish(photo, depth_m, path, camera, camera_file=table)


def _name_calibration(image: str) -> str:
  return '/'.join([*image.split('/')[:2], _CALIBRATION])


@functools.lru_cache(maxsize=64)
def _load_cameras(path: pathlib.Path) -> dict[int, labels.Intrinsics]:
  """Cameras of the rectified pictures, by number."""
  found = {}
  for line in files.load_lines(path):
    key, _, rest = line.partition(':')
    if not key.startswith('P_rect_'):
      continue
    place = f'{path}, {key}'
    numbers = depth_set.parse_numbers(rest.split(), place, 12)
    values = depth_set.read_matrix(numbers)
    found[int(key[-2:])] = depth_set.count_from_centers(*values)
  return found


KIND = kinds.Kind(
  about='KITTI depth: LiDAR of drives, without those that are tested on',
  example='vbanana prepare kitti data/kitti --split train --step 5 '
  '--out data/kitti_train',
  open=Kitti,
  flags=(
    kinds.Flag('--split', "a folder of the benchmark's zip", 'train',
               ('train', 'val')),
    depth_set.STEP,
    depth_set.FLAG,
  ),
)  # fmt: skip
