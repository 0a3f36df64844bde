"""Rendered depth to train on: folders written byte by byte in each layout."""

import csv
import io
import json
import struct
import zlib

import numpy as np
import pytest
from byte_files import (
  assert_refused,
  load_depth_picture,
  make_jpeg,
  make_npy,
  make_png,
)
from byte_files import write as write_files

from vbanana_jax.datasets import (
  depth_set,
  hypersim,
  hypersim_camera,
  moge,
  tartanair,
  vkitti2,
)

RNG = np.random.default_rng(4)
HEIGHT, WIDTH = 24, 32
PHOTO = RNG.integers(0, 256, (HEIGHT, WIDTH, 3))


CENTIMETERS = RNG.integers(300, 9000, (HEIGHT, WIDTH))
CENTIMETERS[0, 0], CENTIMETERS[0, 1] = 65535, 1550
VKITTI_CAMERAS = (
  'frame cameraID K[0,0] K[1,1] K[0,2] K[1,2]\n'
  '1 0 30 31 15.5 11.5\n1 1 30 31 15.5 11.5\n'
)


def _put_vkitti(root, **changed):
  files = {}
  for variation, camera in (('clone', 0), ('clone', 1), ('fog', 0)):
    frames = f'Scene01/{variation}/frames'
    name = f'Camera_{camera}'
    files |= {
      f'{frames}/rgb/{name}/rgb_00001.jpg': make_jpeg(PHOTO),
      f'{frames}/depth/{name}/depth_00001.png': make_png(CENTIMETERS, 16),
      f'Scene01/{variation}/intrinsic.txt': VKITTI_CAMERAS,
    }
  vkitti2._load_cameras.cache_clear()
  write_files(root, {**files, **changed})


def test_virtual_kitti2(tmp_path):
  _put_vkitti(tmp_path)
  dataset = vkitti2.VirtualKitti2(tmp_path)
  assert list(dataset.ids) == ['Scene01-clone-Camera_0-00001']
  picture = load_depth_picture(dataset)
  assert np.isposinf(picture.depth_m[0, 0]) and picture.depth_m[0, 1] == 15.5
  assert picture.intrinsics == (30, 31, 16, 12)
  several = vkitti2.VirtualKitti2(
    tmp_path, variation=('clone', 'fog'), derive_normals=True
  )
  assert len(several.ids) == 2 and several.notes == [depth_set.DERIVED]
  both = vkitti2.VirtualKitti2(tmp_path, camera='both')
  assert len(both.ids) == 2
  for word, call in [
    ('rain', lambda: vkitti2.VirtualKitti2(tmp_path, variation=('rain',))),
    ('snow', lambda: vkitti2.VirtualKitti2(tmp_path, variation=('snow',))),
  ]:
    assert_refused(call, word)


def test_virtual_kitti2_damage_is_named(tmp_path):
  depth = 'Scene01/clone/frames/depth/Camera_0/depth_00001.png'
  table = 'Scene01/clone/intrinsic.txt'
  for name, content, *words in [
    (depth, make_png(CENTIMETERS // 100, 16), 'depth_00001.png', 'unit'),
    (depth, make_png(PHOTO), 'depth_00001.png', 'RGB'),
    (depth, make_png(CENTIMETERS.T, 16), 'depth_00001.png', '24 x 32'),
    (table, 'heading\n2 0 30 31 15 11\n', 'intrinsic.txt', 'frame 1'),
    (table, 'heading\n1 0 30 31 15\n', 'intrinsic.txt', '5 numbers'),
    (table, 'heading\n1 0 30 nan 15 11\n', 'intrinsic.txt'),
  ]:
    _put_vkitti(tmp_path, **{name: content})
    dataset = vkitti2.VirtualKitti2(tmp_path)
    assert_refused(lambda d=dataset: d.load(0), *words)
  (tmp_path / table).unlink()
  assert_refused(lambda: vkitti2.VirtualKitti2(tmp_path), 'intrinsic.txt')


def test_tartanair(tmp_path):
  depth_m = np.full((480, 640), 4.0)
  depth_m[0, 0], depth_m[0, 1] = 10000.0, 7.5
  folder = 'office/Easy/P001'
  depth = f'{folder}/depth_left/000003_left_depth.npy'
  photo = make_png(np.zeros((480, 640, 3)))
  write_files(
    tmp_path,
    {
      f'{folder}/image_left/000003_left.png': photo,
      depth: make_npy(depth_m, '<f4'),
    },
  )
  dataset = tartanair.TartanAir(tmp_path, derive_normals=True)
  assert list(dataset.ids) == ['office-Easy-P001-000003']
  picture = load_depth_picture(dataset)
  assert np.isposinf(picture.depth_m[0, 0]) and picture.depth_m[0, 1] == 7.5
  assert picture.intrinsics == (320, 320, 320, 240)
  np.testing.assert_allclose(picture.normals[9:, 9:, 2], 1, atol=1e-6)
  for bad, *words in [
    (make_npy(depth_m.T, '<f4'), 'depth.npy', '480 x 640'),
    (make_npy(depth_m / 100, '<f4'), 'depth.npy', 'unit'),
    (make_npy(depth_m * np.nan, '<f4'), 'depth.npy', 'no pixel'),
    (make_npy(-depth_m, '<f4'), 'depth.npy', 'negative'),
    (make_npy(depth_m, '<i4'), 'depth.npy', 'int32'),
  ]:
    write_files(tmp_path, {depth: bad})
    assert_refused(lambda: dataset.load(0), *words)
  (tmp_path / depth).unlink()
  assert_refused(lambda: tartanair.TartanAir(tmp_path), '000003_left_depth.npy')
  assert_refused(lambda: tartanair.TartanAir(tmp_path / 'x'), 'no such folder')


def _add_texts(png: bytes, *, at_end: bool, **texts: str) -> bytes:
  """A PNG with text chunks behind its header, or behind its pixels."""
  chunks = b''
  for key, text in texts.items():
    body = b'tEXt' + key.encode() + b'\0' + text.encode()
    check = struct.pack('>I', zlib.crc32(body))
    chunks += struct.pack('>I', len(body) - 4) + body + check
  place = len(png) - 12 if at_end else 33
  return png[:place] + chunks + png[place:]


LOGS = RNG.integers(1, 65535, (HEIGHT, WIDTH))
LOGS[0, :4] = 0, 65535, 1, 65534
META = {'intrinsics': [[1.0, 0, 0.5], [0, 1.25, 0.5], [0, 0, 1]]}


@pytest.mark.parametrize('at_end', [False, True])
def test_moge_folders(tmp_path, at_end):
  depth = _add_texts(make_png(LOGS, 16), at_end=at_end, near='2', far='32.0')
  for name in ('a/0001', 'b/0002'):
    write_files(
      tmp_path,
      {
        f'{name}/image.jpg': make_jpeg(PHOTO),
        f'{name}/depth.png': depth,
        f'{name}/meta.json': json.dumps(META),
      },
    )
  dataset = moge.MogeFolders(tmp_path)
  assert list(dataset.ids) == ['a-0001', 'b-0002']
  picture = load_depth_picture(dataset)
  first = picture.depth_m[0]
  assert np.isnan(first[0]) and np.isposinf(first[1])
  np.testing.assert_allclose(first[2:4], (2, 32), rtol=1e-6)
  share = (LOGS[5, 5] - 1) / 65533
  np.testing.assert_allclose(picture.depth_m[5, 5], 2 * 16**share, rtol=1e-6)
  assert picture.intrinsics == (32, 30, 16, 12)
  write_files(tmp_path, {'.index.txt': 'b/0002\n'})
  assert list(moge.MogeFolders(tmp_path).ids) == ['b-0002']
  write_files(tmp_path, {'.index.txt': '/etc\n'})
  assert_refused(lambda: moge.MogeFolders(tmp_path), '.index.txt')
  (tmp_path / '.index.txt').unlink()
  for name, content, *words in [
    ('depth.png', make_png(LOGS, 16), 'near and far'),
    ('depth.png', _add_texts(make_png(LOGS, 16), at_end=at_end, near='9',
                             far='3'), 'near 9'),
    ('depth.png', _add_texts(make_png(LOGS, 16), at_end=at_end, near='x',
                             far='3'), 'not a number'),
    ('meta.json', '{"intrinsics": [[1, 0], [0, 1]]}', '4 numbers'),
    ('meta.json', '{"intrinsics": [[9, 0, 9], [0, 9, 9], [0, 0, 1]]}',
     'another size'),
    ('meta.json', '[', 'JSON'),
  ]:  # fmt: skip
    whole = (tmp_path / 'a/0001' / name).read_bytes()
    write_files(tmp_path, {f'a/0001/{name}': content})
    assert_refused(lambda: dataset.load(0), name, *words)
    write_files(tmp_path, {f'a/0001/{name}': whole})


# Hypersim: a wall seen by an upright camera and by a tilted and shifted one.
UPRIGHT = np.diag((np.tan(np.pi / 6), np.tan(np.pi / 6) * HEIGHT / WIDTH, -1.0))


def _turn(x_degrees, y_degrees):
  x, y = np.radians((x_degrees, y_degrees))
  about_x = [[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]]
  about_y = [[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]]
  return np.array(about_x) @ np.array(about_y)


def _rays(cam_from_uv):
  """Rays of the camera (x right, y up, z backwards) through all pixels."""
  u, v = np.meshgrid(
    2 * (np.arange(WIDTH) + 0.5) / WIDTH - 1,
    1 - 2 * (np.arange(HEIGHT) + 0.5) / HEIGHT,
  )
  return np.stack([u, v, np.ones_like(u)], -1) @ cam_from_uv.T


def _see_wall(cam_from_uv, normal, distance):
  """Distances from the camera's center to the plane n . P = -distance."""
  rays = _rays(cam_from_uv)
  rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
  meters = -distance / (rays @ normal)
  assert (meters > 0).all()
  return meters, rays


@pytest.mark.parametrize(
  'cam_from_uv',
  [
    UPRIGHT,
    2.5 * UPRIGHT,
    UPRIGHT @ [[1, 0, 0.2], [0, 1, -0.3], [0, 0, 1]],  # shifted
    _turn(6, -9) @ UPRIGHT,  # tilted
    _turn(6, -9) @ UPRIGHT @ [[1, 0, 0.2], [0, 1, -0.3], [0, 0, 1]],
  ],
  ids=['upright', 'scaled', 'shifted', 'tilted', 'both'],
)
def test_hypersim_cameras(cam_from_uv):
  """Depth and normals are those of one pinhole camera, whatever the tilt."""
  camera = hypersim_camera.make_camera(cam_from_uv, WIDTH, HEIGHT)
  np.testing.assert_allclose(camera.turn @ camera.turn.T, np.eye(3), atol=1e-9)
  assert np.linalg.det(camera.turn) > 0
  normal = np.array([0.1, 0.25, 1.0]) / np.linalg.norm([0.1, 0.25, 1.0])
  meters, rays = _see_wall(cam_from_uv, normal, 3.0)
  depth_m = camera.to_depth(meters)
  intrinsics = camera.intrinsics
  x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
  points = np.stack(
    [
      (x - intrinsics.cx) / intrinsics.fx * depth_m,
      (y - intrinsics.cy) / intrinsics.fy * depth_m,
      depth_m,
    ],
    -1,
  )
  # The same points, in the turned frame, with y down and z forwards.
  own = (meters[..., None] * rays) * (1, -1, -1) @ camera.turn.T
  np.testing.assert_allclose(points, own, atol=1e-9)
  stored = np.broadcast_to(normal, (HEIGHT, WIDTH, 3)).copy()
  stored[3, 3] *= -1  # a known fault of the set
  stored[4, 4] = 0
  normals = camera.to_normals(stored)
  assert (normals[4, 4] == 0).all()
  others = np.delete(normals.reshape(-1, 3), 4 * WIDTH + 4, 0)
  np.testing.assert_allclose(others - others[0], 0, atol=1e-6)
  # n . P is the same for all points of the plane, and negative.
  ours = (points * (1, -1, -1)).reshape(-1, 3) @ others[0]
  np.testing.assert_allclose(ours, -3.0, atol=1e-6)


def test_an_upright_hypersim_camera_is_the_one_of_its_paper():
  shape = np.diag((np.tan(np.pi / 6), 0.75 * np.tan(np.pi / 6), -1.0))
  camera = hypersim_camera.make_camera(shape, 1024, 768)
  focal = 512 / np.tan(np.pi / 6)
  np.testing.assert_allclose(camera.intrinsics, (focal, focal, 512, 384))
  np.testing.assert_allclose(camera.turn, np.eye(3), atol=1e-12)
  skewed = shape @ [[1, 0.1, 0], [0, 1, 0], [0, 0, 1]]
  assert hypersim_camera.make_camera(skewed, 1024, 768).intrinsics is None


def _write_csv(rows):
  file = io.StringIO()
  writer = csv.DictWriter(file, list(rows[0]))
  writer.writeheader()
  writer.writerows(rows)
  return file.getvalue()


def _put_hypersim(root, cam_from_uv=UPRIGHT, **arrays):
  h5py = pytest.importorskip('h5py')
  frames = [
    ('ai_001_001', 'cam_00', 0, 'True', 'train'),
    ('ai_001_001', 'cam_00', 1, 'False', 'train'),
    ('ai_001_001', 'cam_00', 2, 'True', 'val'),
    ('ai_009_009', 'cam_00', 0, 'True', 'train'),
  ]
  keys = hypersim._COLUMNS
  table = _write_csv([dict(zip(keys, frame)) for frame in frames])
  camera = {
    'scene_name': 'ai_001_001',
    'settings_output_img_width': f'{WIDTH}.0',
    'settings_output_img_height': f'{HEIGHT}.0',
    **{key: float(x) for key, x in zip(hypersim_camera._KEYS,
                                       np.ravel(cam_from_uv))},
  }  # fmt: skip
  write_files(
    root,
    {
      'metadata_images_split_scene_v1.csv': table,
      'metadata_camera_parameters.csv': _write_csv([camera]),
    },
  )
  normal = np.array([0.0, 0.3, 1.0]) / np.linalg.norm([0.0, 0.3, 1.0])
  meters, _ = _see_wall(cam_from_uv, normal, 2.0)
  color = np.full((HEIGHT, WIDTH, 3), 7.0)
  color[0, 0] = 70.0
  stored = {
    'final_hdf5/frame.0000.color': color,
    'geometry_hdf5/frame.0000.depth_meters': meters,
    'geometry_hdf5/frame.0000.normal_cam': np.broadcast_to(
      normal, (HEIGHT, WIDTH, 3)
    ),
    'geometry_hdf5/frame.0000.render_entity_id': np.ones((HEIGHT, WIDTH), 'i4'),
    **{f'geometry_hdf5/frame.0000.{key}': a for key, a in arrays.items()},
  }
  if 'color' in arrays:
    stored['final_hdf5/frame.0000.color'] = arrays['color']
  for name, array in stored.items():
    path = root / f'ai_001_001/images/scene_cam_00_{name}.hdf5'
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, 'w') as file:
      data = np.asarray(array)
      dtype = 'f2' if data.dtype.kind == 'f' and 'depth' not in name else None
      file.create_dataset('dataset', data=data, dtype=dtype)


def test_hypersim(tmp_path):
  _put_hypersim(tmp_path)
  dataset = hypersim.Hypersim(tmp_path)
  assert list(dataset.ids) == ['ai_001_001-cam_00-0000']
  assert sorted(dataset.notes) == [
    '1 frames of the split: not in the public release',
    '1 frames of the split: their scene is not here',
  ]
  picture = load_depth_picture(dataset)
  focal = WIDTH / 2 / np.tan(np.pi / 6)
  np.testing.assert_allclose(picture.intrinsics, (focal, focal, 16, 12))
  # The wall leans: the same depth along a row, as its normal has no x.
  assert np.ptp(picture.depth_m, axis=1).max() < 1e-5
  assert np.ptp(picture.depth_m, axis=0).min() > 0.1
  unit = np.array([0.0, 0.3, 1.0]) / np.linalg.norm([0.0, 0.3, 1.0])
  np.testing.assert_allclose(picture.normals[5, 5], unit, atol=1e-3)
  _put_hypersim(tmp_path)
  geometry = 'ai_001_001/images/scene_cam_00_geometry_hdf5/frame.0000'
  (tmp_path / f'{geometry}.normal_cam.hdf5').unlink()
  derived = hypersim.Hypersim(tmp_path, derive_normals=True).load(0).normals
  np.testing.assert_allclose(
    derived, np.broadcast_to(unit, derived.shape), atol=1e-3
  )


def test_hypersim_tones():
  color = RNG.uniform(0, 5, (50, 50, 3))
  mapped = hypersim.map_tones(color, True, 'frame')
  luma = color @ (0.3, 0.59, 0.11)
  at = np.unravel_index(np.argsort(luma.ravel())[int(0.9 * 2500)], luma.shape)
  gray = np.full((1, 1, 3), luma[at])
  both = np.concatenate([color.reshape(1, -1, 3), gray], 1)
  bright = hypersim.map_tones(both, True, 'frame')[0, -1]
  assert np.abs(bright / 255 - 0.8).max() < 0.01
  # A brighter lamp changes nothing, and clips nothing that was not.
  np.testing.assert_array_equal(hypersim.map_tones(9 * color, True, ''), mapped)
  assert 204 < mapped.max() <= 255
  color[0, :3] = np.nan
  assert (hypersim.map_tones(color, True, 'frame')[0, :3] == 0).all()
  color[:10] = np.inf
  assert_refused(lambda: hypersim.map_tones(color, True, 'frame'), 'frame')
  assert not hypersim.map_tones(np.zeros((4, 4, 3)), True, '').any()


def test_hypersim_damage_is_named(tmp_path):
  shape = HEIGHT, WIDTH
  for arrays, *words in [
    ({'depth_meters': np.full(shape, 2000.0)}, 'depth_meters.hdf5', 'unit'),
    ({'depth_meters': np.full(shape, np.nan)}, 'depth_meters', 'no pixel'),
    ({'depth_meters': np.ones(shape[::-1])}, 'depth_meters.hdf5', 'shape'),
    ({'normal_cam': np.ones(shape)}, 'normal_cam.hdf5', '3 axes'),
    ({'color': np.full((*shape, 3), np.nan)}, 'color.hdf5', 'corrupt'),
  ]:
    _put_hypersim(tmp_path, **arrays)
    dataset = hypersim.Hypersim(tmp_path)
    assert_refused(lambda d=dataset: d.load(0), *words)
  _put_hypersim(tmp_path)
  path = tmp_path / dataset.entries[0].image
  path.write_bytes(path.read_bytes()[:600])
  assert_refused(lambda: dataset.load(0), 'color.hdf5', 'HDF5')
  path.unlink()
  assert_refused(lambda: dataset.load(0), 'color.hdf5', 'no such file')
  table = tmp_path / 'metadata_camera_parameters.csv'
  whole = table.read_text()
  for text, *words in [
    (whole.replace('M_cam_from_uv_11', 'other'), 'M_cam_from_uv_11'),
    (whole.replace('-1.0', 'one'), 'ai_001_001', 'not a number'),
    (whole.replace('-1.0', '0.0'), 'ai_001_001', 'inverted'),
    ('', 'lacks'),
  ]:
    table.write_text(text)
    assert_refused(lambda: hypersim.Hypersim(tmp_path), table.name, *words)
  assert_refused(
    lambda: hypersim.Hypersim(tmp_path, tables=str(tmp_path / 'x')), 'no such'
  )
