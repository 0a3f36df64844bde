"""NYU Depth v2: the labeled frames, or frames of the raw recordings."""

import pathlib
from typing import Any, ClassVar

import numpy as np

from vbanana_jax.benchmark.readers import base, files
from vbanana_jax.benchmark.readers import nyuv2 as reader
from vbanana_jax.datasets import depth_set, kinds, photo_files, photo_set
from vbanana_jax.errors import UserError

# Of the color camera, from the set's toolbox (camera_params.m), which counts
# pixels from 1: the first one's center is taken as (1, 1).
_FX, _FY, _CX, _CY = 518.85790, 519.46961, 325.58245, 253.73617
_CAMERA = depth_set.count_from_centers(_FX, _FY, _CX - 1, _CY - 1)
_SIZE = (480, 640)
_CONTAINER = 'nyu_depth_v2_labeled.mat'
_PER_METER = 1000.0


class NyuV2(depth_set.DepthSet):
  """Frames of 640 x 480 pixels.

  Either `nyu_depth_v2_labeled.mat` with `splits.mat`, of which `benchmark.
  readers.nyuv2` tells more, or frames that were aligned already, as
  `SCENE/rgb_NUMBER.jpg` and `SCENE/sync_depth_NUMBER.png` in 16-bit millimeters
  of z-depth, 0 where not measured; they may also be in `rgb/` and `depth/`.
  Those are for training: whether scenes of the test frames are among them is
  for the list of scenes to see to.

  Source: Silberman et al., "Indoor Segmentation and Support Inference from
  RGBD Images", ECCV 2012; Lee et al., "From Big to Small", 2019 (frames).
  """

  name: ClassVar[str] = 'NYUv2'
  license: ClassVar[str] = reader.NyuV2.license
  source: ClassVar[str] = reader.NyuV2.source
  radius: ClassVar[int] = 6  # its depth has steps of centimeters
  median_m: ClassVar[tuple[float, float]] = (0.4, 10.0)

  def __init__(self, root, *, split='train', step=1, derive_normals=False):
    super().__init__(root, derive_normals=derive_normals)
    self._reader = None
    if (self.root / _CONTAINER).is_file():
      self._reader = reader.NyuV2(self.root, split)
      items = self._reader.items[::step]
      entries = [
        photo_set.Entry(item.id, f'{_CONTAINER}, frame {item.id}', item)
        for item in items
      ]
    else:
      entries = self._list_frames(split)[::step]
      self._require(entry.image for entry in entries)
    self._set_entries(entries, self.root)

  def _list_frames(self, split: str) -> list[photo_set.Entry]:
    if split != 'train':
      raise UserError(
        f'--split {split}: only {_CONTAINER} with splits.mat has it, and '
        f'{self.root} has no such file: get it from {self.source}'
      )
    depths = sorted(self.root.glob('**/sync_depth_*.png'))
    if not depths:
      raise UserError(
        f'{self.root}: neither {_CONTAINER} nor SCENE/sync_depth_*.png: get '
        f'{self.name} from {self.source}'
      )
    entries = []
    for path in depths:
      number = path.stem.removeprefix('sync_depth_')
      folder = path.parent
      if folder.name == 'depth':
        folder = folder.with_name('rgb')
      image = (folder / f'rgb_{number}.jpg').relative_to(self.root).as_posix()
      scene = path.parent.relative_to(self.root).parts
      item = base.make_id(*(part for part in scene if part != 'depth'), number)
      entries.append(photo_set.Entry(item, image, path))
    return entries

  def _load_photo(self, entry) -> photo_files.PhotoFile:
    if self._reader is None:
      return super()._load_photo(entry)
    pixels = self._reader.load_image(entry.found)
    return depth_set.make_photo(pixels, pathlib.Path(entry.image))

  def _load_labels(self, entry, photo) -> dict[str, Any]:
    if self._reader is not None:
      place = entry.image
      depth_m = self._reader.load_truth(entry.found)['depth_m']
    else:
      place = entry.found
      depth_m = files.load_png16(place) / _PER_METER
    base.check_shapes(depth_m.shape, _SIZE, place)
    depth_m = np.where(depth_m > 0, depth_m, np.nan)
    return self._finish(photo, depth_m, place, _CAMERA)


KIND = kinds.Kind(
  about='NYU Depth v2: labeled frames, or aligned raw ones, and intrinsics',
  example='vbanana prepare nyuv2 data/nyuv2 --split train --derive-normals '
  '--out data/nyuv2_train',
  open=NyuV2,
  flags=(
    kinds.Flag('--split', 'of the labeled frames', 'train', ('train', 'test')),
    depth_set.STEP,
    depth_set.FLAG,
  ),
)
