"""Hypersim: rendered rooms, with the repairs that its users found necessary."""

import collections
import pathlib
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, UInt8

from vbanana_jax.benchmark.readers import base
from vbanana_jax.datasets import (
  depth_set,
  hdf5_files,
  hypersim_camera,
  kinds,
  photo_files,
  photo_set,
)
from vbanana_jax.errors import UserError

_SPLIT_FILE = 'metadata_images_split_scene_v1.csv'
_CAMERA_FILE = 'metadata_camera_parameters.csv'
_COLUMNS = (
  'scene_name', 'camera_name', 'frame_id', 'included_in_public_release',
  'split_partition_name',
)  # fmt: skip
_MOST_UNKNOWN = 0.05  # of a photograph's pixels, that are no color
# The tone map: the brightness below which 90 % of the pixels are becomes .8.
_BRIGHT_SHARE, _BRIGHT, _GAMMA = 90, 0.8, 1 / 2.2
_LUMA = (0.3, 0.59, 0.11)


class Hypersim(depth_set.DepthSet):
  """Frames of one split, 1024 x 768, with depth, normals and intrinsics.

  `SCENE/images/scene_CAMERA_final_hdf5/frame.ID.color.hdf5`, and in
  `scene_CAMERA_geometry_hdf5/` `frame.ID.depth_meters.hdf5`,
  `.normal_cam.hdf5` and `.render_entity_id.hdf5`; at the top (or given by
  flags) two tables of the set's repository. Four repairs:

  1. `depth_meters` is the distance from the camera's center; depth is along z.
  2. Some scenes are tilted and shifted: see `hypersim_camera`.
  3. Frames that the split leaves out are left out; those without depth, or
     where more than 5 % of the colors are no numbers, are refused one by one.
     Normals that face away are reversed.
  4. Colors are linear and unbounded. They are divided by what brings the 90th
     percentile of the brightness of surfaces to .8 after a gamma of 1 / 2.2,
     and kept as PNG.

  Source: Roberts et al., "Hypersim: A Photorealistic Synthetic Dataset for
  Holistic Indoor Scene Understanding", ICCV 2021, its README, and issues 9, 22,
  24, 26, 45, 76 and 79 of github.com/apple/ml-hypersim. That the tables' matrix
  takes v upwards, and NaN is an unknown distance, is assumed.
  """

  name: ClassVar[str] = 'Hypersim'
  license: ClassVar[str] = 'CC BY-SA 3.0'
  source: ClassVar[str] = 'https://github.com/apple/ml-hypersim'
  radius: ClassVar[int] = 1
  median_m: ClassVar[tuple[float, float]] = (0.05, 500.0)

  def __init__(
    self, root, *, split='train', step=1, tables='', derive_normals=False
  ):
    super().__init__(root, derive_normals=derive_normals)
    folder = pathlib.Path(tables) if tables else self.root
    self._cameras = hypersim_camera.load_cameras(folder / _CAMERA_FILE)
    rows = hypersim_camera.load_rows(folder / _SPLIT_FILE, _COLUMNS)
    left = collections.Counter()
    frames = []
    for row in rows:
      if row['split_partition_name'] != split:
        continue
      reason = self._find_fault(row)
      left[reason] += 1
      if not reason:
        frames.append(row)
    for reason, count in left.items():
      if reason:
        self.notes.append(f'{count} frames of the split: {reason}')
    entries = [self._make_entry(row) for row in frames[::step]]
    self._set_entries(entries, folder / _SPLIT_FILE)

  def _find_fault(self, row) -> str:
    if row['included_in_public_release'].strip().lower() != 'true':
      return 'not in the public release'
    if not (self.root / row['scene_name']).is_dir():
      return 'their scene is not here'
    if row['scene_name'] not in self._cameras:
      return f'no camera of their scene in {_CAMERA_FILE}'
    return ''

  def _make_entry(self, row) -> photo_set.Entry:
    scene, camera = row['scene_name'], row['camera_name']
    try:
      number = int(row['frame_id'])
    except ValueError as error:
      raise UserError(
        f'{_SPLIT_FILE}: {row["frame_id"]!r} is no frame'
      ) from error
    folder = base.check_name(f'{scene}/images', pathlib.Path(_SPLIT_FILE))
    geometry = f'{folder}/scene_{camera}_geometry_hdf5/frame.{number:04d}'
    image = f'{folder}/scene_{camera}_final_hdf5/frame.{number:04d}.color.hdf5'
    item = base.make_id(scene, camera, f'{number:04d}')
    return photo_set.Entry(item, image, (scene, geometry))

  def _load_photo(self, entry) -> photo_files.PhotoFile:
    path = self.root / entry.image
    color = hdf5_files.load_array(path, 'dataset', (None, None, 3))
    ids = self._load_geometry(entry, 'render_entity_id', color.shape[:2])
    return depth_set.make_photo(
      map_tones(color, True if ids is None else ids != -1, path), path
    )

  def _load_labels(self, entry, photo) -> dict[str, Any]:
    scene, geometry = entry.found
    shape = photo.frame.height, photo.frame.width
    place = self.root / f'{geometry}.depth_meters.hdf5'
    distance_m = hdf5_files.load_array(place, 'dataset', shape)
    camera = self._cameras[scene]
    normals = self._load_geometry(entry, 'normal_cam', (*shape, 3))
    if normals is not None:
      normals = camera.to_normals(normals.astype(np.float64))
    depth_m = camera.to_depth(distance_m.astype(np.float64))
    return self._finish(
      photo, depth_m, place, camera.intrinsics, normals,
      camera_file=f'{_CAMERA_FILE}, {scene}',
    )  # fmt: skip

  def _load_geometry(self, entry, name: str, shape) -> np.ndarray | None:
    """An array of the frame; None where there is no such file."""
    path = self.root / f'{entry.found[1]}.{name}.hdf5'
    if not path.is_file():
      return None
    return hdf5_files.load_array(path, 'dataset', shape)


def map_tones(
  color: Float[np.ndarray, 'h w 3'],
  is_surface: Bool[np.ndarray, 'h w'] | bool,
  place: object,
) -> UInt8[np.ndarray, 'h w 3']:
  """8-bit colors of linear ones; black where they are no numbers.

  Args:
    color: linear, unbounded.
    is_surface: where there is something, for the brightness.
    place: the file, for errors.

  Raises:
    UserError: too many of them are no numbers.
  """
  finite = np.isfinite(color).all(-1)
  if (~finite).mean() > _MOST_UNKNOWN:
    raise UserError(
      f'{place}: {(~finite).mean():.0%} of the colors are no numbers: a '
      'corrupt frame'
    )
  color = np.maximum(np.where(finite[..., None], color, 0.0), 0.0)
  brightness = (color @ np.array(_LUMA))[finite & is_surface]
  scale = 1.0
  if brightness.size:
    bright = np.percentile(brightness, _BRIGHT_SHARE)
    scale = _BRIGHT ** (1 / _GAMMA) / bright if bright > 1e-4 else 0.0
  mapped = np.clip((scale * color) ** _GAMMA, 0, 1)
  return np.rint(mapped * 255).astype(np.uint8)


KIND = kinds.Kind(
  about='Hypersim: rendered rooms, repaired (z-depth, tilt-shift, tones)',
  example='vbanana prepare hypersim data/hypersim --split train '
  '--out data/hypersim_train',
  open=Hypersim,
  flags=(
    kinds.Flag(
      '--split', 'a part of the set', 'train', ('train', 'val', 'test')
    ),
    depth_set.STEP,
    kinds.Flag(
      '--tables', "folder of the set's two tables, if another one", ''
    ),
    depth_set.FLAG,
  ),
)
