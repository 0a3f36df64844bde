"""nuScenes: tables, poses and LiDAR bytes become sparse depth of a picture."""

import json
import struct

import numpy as np
import pytest
from byte_files import assert_reader_refuses, make_jpeg
from byte_files import write as write_files

from vbanana_jax.benchmark.readers import READERS, nuscenes

HEIGHT, WIDTH = 6, 8
INTRINSICS = [[10.0, 0.0, 3.0], [0.0, 10.0, 2.0], [0.0, 0.0, 1.0]]
# The camera looks along the car's x: its right is the car's -y.
CAMERA_TURN = [0.5, -0.5, 0.5, -0.5]
NO_TURN = [1.0, 0.0, 0.0, 0.0]
HALF = np.sqrt(0.5)


def make_row(token, **fields):
  return {'token': token, **fields}


def make_recording(number, channel, sample, key=True, suffix='jpg'):
  return make_row(
    f'{channel}-{number}',
    sample_token=sample,
    ego_pose_token=f'ego-{channel}-{number}',
    calibrated_sensor_token=f'cal-{channel}',
    filename=f'samples/{channel}/n015+0800__{channel}__{number}.{suffix}',
    is_key_frame=key,
    timestamp=number,
  )


def make_tables():
  """Two scenes; of the first, two samples that are stored out of order."""
  recordings = []
  for number, sample in [(2, 'late'), (1, 'early'), (3, 'other')]:
    recordings += [
      make_recording(number, 'CAM_FRONT', sample),
      make_recording(number, 'CAM_BACK', sample),
      make_recording(number, 'LIDAR_TOP', sample, suffix='pcd.bin'),
    ]
  recordings.append(make_recording(9, 'CAM_FRONT', 'late', key=False))
  egos = []
  for row in recordings:
    number = row['timestamp']
    # The car drives 1 m between LiDAR and camera, along the world's y: it
    # has turned left by 90 degrees.
    drive = 1.0 if 'CAM' in row['token'] else 0.0
    egos.append(
      make_row(
        row['ego_pose_token'],
        translation=[100.0, 50.0 * number + drive, 0.0],
        rotation=[HALF, 0.0, 0.0, HALF],
      )
    )
  sensors = [
    make_row(
      'cal-CAM_FRONT',
      translation=[1.5, 0.0, 1.5],
      rotation=CAMERA_TURN,
      camera_intrinsic=INTRINSICS,
    ),
    make_row(
      'cal-LIDAR_TOP',
      translation=[1.0, 0.0, 2.0],
      rotation=NO_TURN,
      camera_intrinsic=[],
    ),
  ]
  return {
    'scene': [make_row('s1', name='scene-0001'), make_row('s2', name='two')],
    'sample': [
      make_row('late', scene_token='s1', timestamp=20),
      make_row('early', scene_token='s1', timestamp=10),
      make_row('other', scene_token='s2', timestamp=5),
    ],
    'sample_data': recordings,
    'ego_pose': egos,
    'calibrated_sensor': sensors,
  }


# In the LiDAR's frame, meters. A point (x, y, z) comes to the camera's
# (-y, -z - 0.5, x - 1.5): the origins differ by 0.5 m forwards and 0.5 m up,
# and the car has driven 1 m.
POINTS = [
  (11.5, 0.0, -0.5),  # straight ahead, 10 m: pixel row 2, column 3
  (21.5, 0.0, -0.5),  # behind it
  (11.5, -3.0, -0.5),  # 3 m to the right: column 6
  (6.5, 0.0, -1.5),  # 1 m below, 5 m away: row 4
  (11.5, -9.0, -0.5),  # outside
  (-8.5, 0.0, -0.5),  # behind the camera
  (2.25, 0.0, -0.5),  # 0.75 m away: the car itself
]


def make_scan(points):
  rows = (struct.pack('<5f', *point, 17.0, 3.0) for point in points)
  return b''.join(rows)


def write_nuscenes(root, split='val', version='v1.0-trainval', **changed):
  tables = {**make_tables(), **changed}
  photo = make_jpeg(np.zeros((HEIGHT, WIDTH, 3)))
  files = {f'{version}/{k}.json': json.dumps(v) for k, v in tables.items()}
  for row in make_tables()['sample_data']:
    is_scan = row['filename'].endswith('.bin')
    files[row['filename']] = make_scan(POINTS) if is_scan else photo
  write_files(root, {**files, f'{split}_scenes.txt': 'scene-0001\n'})


def refused(root, *words, item=None):
  assert_reader_refuses('nuscenes', root, 'val', *words, item=item)


@pytest.mark.parametrize(
  'split, version', [('val', 'v1.0-trainval'), ('mini_val', 'v1.0-mini')]
)
def test_keyframes_of_the_listed_scenes_in_time(tmp_path, split, version):
  write_nuscenes(tmp_path, split, version)
  reader = READERS['nuscenes'](tmp_path, split)
  assert [item.id for item in reader.items] == [
    'n015_0800__CAM_FRONT__1',
    'n015_0800__CAM_FRONT__2',
  ]
  assert reader.load_image(reader.items[0]).shape == (HEIGHT, WIDTH, 3)
  for item in reader.items:
    depth_m = reader.load_truth(item)['depth_m']
    expected = np.zeros((HEIGHT, WIDTH), np.float32)
    expected[2, 3], expected[2, 6], expected[4, 3] = 10.0, 10.0, 5.0
    np.testing.assert_allclose(depth_m, expected, atol=1e-4)
    assert depth_m.dtype == np.float32


def rotate(quaternion, point):
  """q p q* with the Hamilton product, straight from the definition."""

  def times(a, b):
    w1, v1, w2, v2 = a[0], np.array(a[1:]), b[0], np.array(b[1:])
    return (w1 * w2 - v1 @ v2, *(w1 * v2 + w2 * v1 + np.cross(v1, v2)))

  w, x, y, z = quaternion
  return np.array(times(times(quaternion, (0.0, *point)), (w, -x, -y, -z))[1:])


def test_random_chains_equal_quaternion_arithmetic():
  rng = np.random.default_rng(23)
  quaternions = rng.normal(size=(4, 4))
  quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
  origins = rng.normal(size=(4, 3)) * 5
  points = rng.normal(size=(20, 3)) * 10
  poses = [
    nuscenes.make_pose(list(q), list(t), 'table')
    for q, t in zip(quaternions, origins)
  ]
  moved = nuscenes.move_to_camera(points, *poses)
  for point, got in zip(points, moved):
    for q, t in zip(quaternions[:2], origins[:2]):
      point = rotate(q, point) + t
    for q, t in zip(quaternions[2:], origins[2:]):
      point = rotate(q * (1, -1, -1, -1), point - t)
    np.testing.assert_allclose(got, point, atol=1e-9)


def test_nearest_return_wins_in_any_order():
  rng = np.random.default_rng(24)
  points = rng.uniform(-1, 1, (500, 3)) * (6, 5, 20)
  intrinsics = np.array(INTRINSICS)
  depth_m = nuscenes.project_returns(points, intrinsics, (HEIGHT, WIDTH))
  expected = np.zeros((HEIGHT, WIDTH))
  for x, y, z in sorted(points, key=lambda point: -point[2]):
    if z > 1.0:
      column, row = round(10 * x / z + 3), round(10 * y / z + 2)
      if 0 <= column < WIDTH and 0 <= row < HEIGHT:
        expected[row, column] = z
  assert (expected > 0).sum() > 20
  np.testing.assert_allclose(depth_m, expected, rtol=1e-6)


def test_damage_is_named(tmp_path):
  scan = 'samples/LIDAR_TOP/n015+0800__LIDAR_TOP__1.pcd.bin'
  for bad, words in [
    (make_scan(POINTS)[:-4], ('LIDAR_TOP__1.pcd.bin', 'multiple of 20')),
    (b'', ('LIDAR_TOP__1.pcd.bin', '0 bytes')),
    (make_scan([(np.nan, 0, 0)]), ('LIDAR_TOP__1.pcd.bin', 'finite')),
    (make_scan(np.array(POINTS) * (100, 1, 1)), ('unit',)),
  ]:
    write_nuscenes(tmp_path)
    write_files(tmp_path, {scan: bad})
    refused(tmp_path, *words, item=0)
  tables = make_tables()
  sensors = tables['calibrated_sensor']
  longer = [{**row, 'rotation': [2.0, 0, 0, 0]} for row in sensors]
  blind = [{**row, 'camera_intrinsic': []} for row in sensors]
  odd = [{**row, 'translation': ['a', 0, 0]} for row in sensors]
  nameless = [{'token': row['token']} for row in tables['sample_data']]
  cases = [
    ({'calibrated_sensor': longer}, ('calibrated_sensor.json', 'quaternion')),
    ({'calibrated_sensor': blind}, ('camera_intrinsic', 'cal-CAM_FRONT')),
    ({'calibrated_sensor': odd}, ('calibrated_sensor.json', 'numbers')),
    ({'ego_pose': []}, ('ego_pose.json', 'ego-')),
    ({'sample_data': nameless}, ('sample_data.json', 'is_key_frame')),
    ({'sample_data': []}, ('sample_data.json', 'early', 'keyframe')),
    ({'scene': []}, ('val_scenes.txt', 'scene-0001')),
    ({'sample': {'a': 1}}, ('sample.json', 'field')),
    ({'sample': 'late'}, ('sample.json', 'list')),
    ({'sample': [{'scene_token': 's1'}]}, ('sample.json', 'timestamp')),
    ({'sample': ['late']}, ('sample.json', 'table')),
    ({'sample': []}, ('no examples',)),
  ]
  for changed, words in cases:
    write_nuscenes(tmp_path, **changed)
    refused(tmp_path, *words)
  write_nuscenes(tmp_path)
  (tmp_path / 'val_scenes.txt').unlink()
  refused(tmp_path, 'val_scenes.txt', 'https://www.nuscenes.org')
