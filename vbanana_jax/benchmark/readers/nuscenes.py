"""nuScenes: LiDAR returns projected into the front camera's keyframes."""

import pathlib
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float, Float32

from vbanana_jax.benchmark.readers import base, files
from vbanana_jax.errors import UserError

_VERSIONS = {'val': 'v1.0-trainval', 'mini_val': 'v1.0-mini'}
_CAMERA, _LIDAR = 'CAM_FRONT', 'LIDAR_TOP'
_NEAREST_M = 1.0  # nearer returns lie on the car itself
_MEDIAN_M = (1.0, 120.0)  # of one frame
_POINT_BYTES = 20  # x, y, z, intensity, ring as float32


class Pose(NamedTuple):
  """A frame in its parent: `parent = rotation @ child + translation`."""

  rotation: Float[np.ndarray, '3 3']
  translation: Float[np.ndarray, '3']


class _Record(NamedTuple):
  """One keyframe of one sensor, as in the table `sample_data`."""

  sample: str
  ego: str
  sensor: str
  filename: str


class _Frame(NamedTuple):
  """The two recordings of one item."""

  camera: _Record
  lidar: _Record


class NuScenes(base.FolderReader):
  """Sparse depth of the validation keyframes of CAM_FRONT, 1600 x 900.

  The tables of `v1.0-trainval/` (split `mini_val`: `v1.0-mini/`), the sensor
  files of `samples/`, and `SPLIT_scenes.txt` with one scene name a line, which
  the development kit prints. A LiDAR file holds five float32 a point: x, y, z
  in meters, intensity, ring. Points go from the LiDAR to the car at the time
  of the LiDAR, to the world, to the car at the time of the camera, to the
  camera. A pixel keeps its nearest return that is at least 1 m away.

  Source: Caesar et al., "nuScenes", CVPR 2020, and the schema of
  https://github.com/nutonomy/nuscenes-devkit.
  """

  name: ClassVar[str] = 'nuScenes'
  task: ClassVar[str] = 'depth'
  splits: ClassVar[tuple[str, ...]] = tuple(_VERSIONS)
  layout: ClassVar[tuple[str, ...]] = (
    '{split}_scenes.txt',
    'v1.0-*/sample_data.json',
    f'samples/{_CAMERA}/*.jpg',
    f'samples/{_LIDAR}/*.pcd.bin',
  )
  source: ClassVar[str] = (
    'https://www.nuscenes.org/nuscenes (Full dataset v1.0: metadata and '
    'keyframe blobs)'
  )
  license: ClassVar[str] = 'CC BY-NC-SA 4.0 with further terms'
  verified: ClassVar[bool] = False

  def _list_items(self) -> Iterator[base.Item]:
    samples = self._list_samples()
    cameras = self._list_records(_CAMERA, set(samples))
    lidars = self._list_records(_LIDAR, set(samples))
    self._frames, items = {}, []
    for sample in samples:
      if sample not in cameras or sample not in lidars:
        raise UserError(
          f'{self._table("sample_data")}: sample {sample} has no keyframe of '
          f'{_CAMERA} and {_LIDAR}'
        )
      camera = cameras[sample]
      item_id = base.make_id(pathlib.PurePosixPath(camera.filename).stem)
      self._frames[item_id] = _Frame(camera, lidars[sample])
      items.append(base.Item(item_id, camera.filename))
    self.require([item.image for item in items])
    self._load_poses()
    return iter(items)

  def load_image(self, item: base.Item) -> np.ndarray:
    return files.load_rgb(self.root / item.image)

  def load_truth(self, item: base.Item) -> dict[str, np.ndarray]:
    camera, lidar = self._frames[item.id]
    path = self.root / lidar.filename
    chain = (
      self._sensors[lidar.sensor],
      self._egos[lidar.ego],
      self._egos[camera.ego],
      self._sensors[camera.sensor],
    )
    depth_m = project_returns(
      move_to_camera(_load_points(path), *chain),
      self._intrinsics[camera.sensor],
      files.load_image_size(self.root / item.image),
    )
    return {'depth_m': base.make_depth_m(depth_m, path, median_m=_MEDIAN_M)}

  def _table(self, name: str) -> pathlib.Path:
    return self.root / _VERSIONS[self.split] / f'{name}.json'

  def _list_samples(self) -> list[str]:
    """Tokens of the split's samples, scene by scene, in order of time."""
    path = self.root / f'{self.split}_scenes.txt'
    names = files.load_lines(path)
    scenes = dict(self._load_rows('scene', ('name', 'token')))
    unknown = [name for name in names if name not in scenes]
    if unknown:
      raise UserError(
        f'{path}: {unknown[0]!r} is not a scene of {self._table("scene")}'
      )
    by_scene: dict[str, list] = {scenes[name]: [] for name in names}
    fields = ('scene_token', 'timestamp', 'token')
    for scene, time, token in self._load_rows('sample', fields):
      if scene in by_scene:
        by_scene[scene].append((time, token))
    return [token for rows in by_scene.values() for _, token in sorted(rows)]

  def _list_records(
    self, channel: str, samples: set[str]
  ) -> dict[str, _Record]:
    """Keyframes of one sensor by the sample they belong to."""
    path = self._table('sample_data')
    prefix = f'samples/{channel}/'

    def keep(row: dict) -> _Record | None:
      is_kept = row['is_key_frame'] and row['sample_token'] in samples
      if not (is_kept and row['filename'].startswith(prefix)):
        return None
      return _Record(
        row['sample_token'],
        row['ego_pose_token'],
        row['calibrated_sensor_token'],
        base.check_name(row['filename'], path),
      )

    return {row.sample: row for row in _load_table(path, keep)}

  def _load_poses(self) -> None:
    """Poses and intrinsics that the listed keyframes refer to."""
    records = [record for frame in self._frames.values() for record in frame]
    fields = ('token', 'rotation', 'translation')
    self._egos = self._make_poses(
      'ego_pose', fields, {record.ego for record in records}
    )
    sensors = {record.sensor for record in records}
    self._sensors = self._make_poses('calibrated_sensor', fields, sensors)
    self._intrinsics = {}
    for token, matrix in self._load_rows(
      'calibrated_sensor', ('token', 'camera_intrinsic')
    ):
      if token in sensors and matrix:
        place = self._table('calibrated_sensor')
        self._intrinsics[token] = _make_array(matrix, (3, 3), place)
    lacking = [
      frame.camera.sensor
      for frame in self._frames.values()
      if frame.camera.sensor not in self._intrinsics
    ]
    if lacking:
      raise UserError(
        f'{self._table("calibrated_sensor")}: no camera_intrinsic for '
        f'{lacking[0]}'
      )

  def _make_poses(self, table, fields, wanted: set[str]) -> dict[str, Pose]:
    path = self._table(table)
    poses = {
      token: make_pose(rotation, translation, path)
      for token, rotation, translation in self._load_rows(table, fields, wanted)
    }
    if wanted - set(poses):
      raise UserError(f'{path}: no row {min(wanted - set(poses))}')
    return poses

  def _load_rows(
    self, table: str, fields: tuple[str, ...], wanted: set[str] | None = None
  ) -> list[tuple[Any, ...]]:
    """The named fields of every row, or of those whose token is wanted."""

    def keep(row: dict) -> tuple[Any, ...] | None:
      if wanted is not None and row['token'] not in wanted:
        return None
      return tuple(row[field] for field in fields)

    return _load_table(self._table(table), keep)


def _load_table(
  path: pathlib.Path, keep: Callable[[dict], tuple | None]
) -> list[tuple[Any, ...]]:
  """What `keep` makes of each row, without the None."""
  rows = files.load_json(path, list, keep=keep)
  rows = [row for row in rows if row is not None]
  if not all(isinstance(row, tuple) for row in rows):
    raise UserError(f'{path}: not a table of nuScenes')
  return rows


def make_pose(rotation, translation, place: pathlib.Path) -> Pose:
  """A pose from a quaternion (w, x, y, z) and an origin in meters."""
  w, x, y, z = _make_array(rotation, (4,), place)
  norm = w * w + x * x + y * y + z * z
  if not 0.98 < norm < 1.02:
    raise UserError(f'{place}: rotation {rotation} is not a unit quaternion')
  s = 2.0 / norm
  matrix = np.array(
    [
      [1 - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y)],
      [s * (x * y + w * z), 1 - s * (x * x + z * z), s * (y * z - w * x)],
      [s * (x * z - w * y), s * (y * z + w * x), 1 - s * (x * x + y * y)],
    ]
  )
  return Pose(matrix, _make_array(translation, (3,), place))


def move_to_camera(
  points: Float[np.ndarray, 'n 3'],
  lidar: Pose,
  ego_then: Pose,
  ego_now: Pose,
  camera: Pose,
) -> Float[np.ndarray, 'n 3']:
  """LiDAR points in the camera's frame: x right, y down, z forward, meters.

  The car moves between the two recordings, hence its two poses.
  """
  for encode in (lidar, ego_then):
    points = points @ encode.rotation.T + encode.translation
  for encode in (ego_now, camera):
    points = (points - encode.translation) @ encode.rotation
  return points


def project_returns(
  points: Float[np.ndarray, 'n 3'],
  intrinsics: Float[np.ndarray, '3 3'],
  size: tuple[int, int],
) -> Float32[np.ndarray, 'h w']:
  """Depth of the nearest return in each pixel, 0 where there is none.

  Integer coordinates are pixel centers.
  """
  height, width = size
  points = points[points[:, 2] > _NEAREST_M]
  projected = points @ intrinsics.T
  column, row = np.rint(projected[:, :2] / projected[:, 2:]).T
  inside = (0 <= column) & (column < width) & (0 <= row) & (row < height)
  index = (row[inside] * width + column[inside]).astype(np.int64)
  depth_m = np.full(height * width, np.inf, np.float32)
  np.minimum.at(depth_m, index, points[inside, 2].astype(np.float32))
  depth_m[np.isinf(depth_m)] = 0.0
  return depth_m.reshape(height, width)


def _load_points(path: pathlib.Path) -> Float[np.ndarray, 'n 3']:
  encoded = files.load_bytes(path)
  if not encoded or len(encoded) % _POINT_BYTES:
    raise UserError(
      f'{path}: {len(encoded)} bytes, expected a multiple of {_POINT_BYTES} '
      '(five float32 a point)'
    )
  points = np.frombuffer(encoded, '<f4').reshape(-1, 5)[:, :3]
  if not np.isfinite(points).all():
    raise UserError(f'{path}: coordinates that are not finite')
  return points.astype(np.float64)


def _make_array(values, shape: tuple[int, ...], place) -> np.ndarray:
  try:
    array = np.array(values, np.float64)
  except (TypeError, ValueError) as error:
    raise UserError(f'{place}: {values!r} is not numbers') from error
  if array.shape != shape or not np.isfinite(array).all():
    raise UserError(f'{place}: {values!r} is not {shape} finite numbers')
  return array
