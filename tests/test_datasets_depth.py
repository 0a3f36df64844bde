"""Measured depth to train on: folders written byte by byte in each layout."""

import json

import numpy as np
import pytest
from byte_files import (
  assert_refused,
  load_depth_picture,
  make_jpeg,
  make_mat5,
  make_npy,
  make_png,
)
from byte_files import write as write_files

from vbanana_jax import labels
from vbanana_jax.datasets import (
  depth_set,
  diode,
  kitti,
  nyuv2,
  rgbd,
  scannet,
)

RNG = np.random.default_rng(3)
HEIGHT, WIDTH = 24, 32
PHOTO = RNG.integers(0, 256, (HEIGHT, WIDTH, 3))
STORED = RNG.integers(1000, 5000, (HEIGHT, WIDTH))
STORED[0, 0], STORED[0, 31], STORED[2, 3] = 1500, 65535, 0
PLANE = np.full((HEIGHT, WIDTH), 2000)
CAMERA = {'fx': 30.0, 'fy': 31.0, 'cx': 15.5, 'cy': 11.5}
SEEN = labels.Intrinsics(30.0, 31.0, 16.0, 12.0)


def _put_rgbd(root, **changed):
  files = {
    'images/0001.jpg': make_jpeg(PHOTO),
    'depth/0001.png': make_png(STORED, 16),
    'intrinsics.json': json.dumps(CAMERA),
    **changed,
  }
  write_files(root, files)


def test_rgbd(tmp_path):
  _put_rgbd(tmp_path)
  dataset = rgbd.RgbdFolder(tmp_path)
  assert list(dataset.ids) == ['images-0001']
  picture = load_depth_picture(dataset)
  assert picture.encoded == make_jpeg(PHOTO)
  assert picture.depth_m[0, 0] == 1.5
  assert np.isnan(picture.depth_m[[0, 2], [31, 3]]).all()
  assert picture.intrinsics == SEEN and picture.normals is None
  assert not dataset.notes
  scaled = rgbd.RgbdFolder(tmp_path, per_meter=5000.0)
  np.testing.assert_allclose(
    load_depth_picture(scaled).depth_m[0, 0], 0.3, rtol=1e-6
  )


def test_rgbd_derives_normals_and_says_so(tmp_path):
  _put_rgbd(tmp_path, **{'depth/0001.png': make_png(PLANE, 16)})
  dataset = rgbd.RgbdFolder(tmp_path, derive_normals=True)
  assert dataset.notes == [depth_set.DERIVED]
  normals = load_depth_picture(dataset).normals
  assert np.abs(normals - (0, 0, 1)).max() < 1e-3
  (tmp_path / 'intrinsics.json').unlink()
  dataset = rgbd.RgbdFolder(tmp_path, derive_normals=True)
  assert_refused(lambda: dataset.load(0), '0001.png', 'needs the intrinsics')
  given = rgbd.RgbdFolder(
    tmp_path, intrinsics='30,31,15.5,11.5', derive_normals=True
  )
  assert load_depth_picture(given).intrinsics == SEEN


def test_rgbd_in_the_layout_of_7_scenes(tmp_path):
  frames = {
    f'chess/seq-0{k}/frame-00000{k}.{what}': content
    for k in (1, 2)
    for what, content in (
      ('color.png', make_png(PHOTO)),
      ('depth.png', make_png(STORED, 16)),
      ('pose.txt', '1 0 0 0'),
    )
  }
  write_files(tmp_path, {**frames, 'intrinsics.txt': '30 31 15.5 11.5'})
  dataset = rgbd.RgbdFolder(tmp_path)
  assert list(dataset.ids) == [
    'chess-seq-01-frame-000001.color', 'chess-seq-02-frame-000002.color',
  ]  # fmt: skip
  assert load_depth_picture(dataset, 1).intrinsics == SEEN
  assert len(rgbd.RgbdFolder(tmp_path, step=2).ids) == 1


def test_rgbd_finds_the_intrinsics_of_the_size_of_the_photographs(tmp_path):
  large = '60 0 32 0 62 24 0 0 1'
  _put_rgbd(tmp_path)
  (tmp_path / 'intrinsics.json').rename(tmp_path / 'intrinsics_32x24.json')
  write_files(tmp_path, {'K_64x48.txt': large})
  assert load_depth_picture(rgbd.RgbdFolder(tmp_path)).intrinsics == SEEN
  write_files(tmp_path, {'K_32x24.txt': large})
  both = rgbd.RgbdFolder(tmp_path)
  assert_refused(lambda: both.load(0), 'K_32x24.txt', '--intrinsics')
  for content, *words in [
    ('60 62 40 24', 'K.txt', 'another size'),
    ('60 62 24', 'K.txt', '3 numbers'),
    ('60 62 x 24', 'K.txt', 'not a number'),
    ('-30 31 16 12', 'K.txt', 'no camera'),
  ]:
    write_files(tmp_path, {'a/rgb/1.png': make_png(PHOTO), 'a/K.txt': content})
    write_files(tmp_path, {'a/depth/1.png': make_png(PLANE, 16)})
    dataset = rgbd.RgbdFolder(tmp_path / 'a')
    assert_refused(lambda d=dataset: d.load(0), *words)


def test_rgbd_depth_may_be_smaller_than_its_photograph(tmp_path):
  small = np.repeat([[1000], [3000]], [6, 6], 0) * np.ones((1, 16), int)
  _put_rgbd(tmp_path, **{'depth/0001.png': make_png(small, 16)})
  picture = load_depth_picture(rgbd.RgbdFolder(tmp_path, derive_normals=True))
  assert set(np.unique(picture.depth_m)) == {1.0, 3.0}
  assert (picture.depth_m[:12] == 1).all() and (picture.depth_m[12:] == 3).all()
  np.testing.assert_allclose(picture.normals[..., 2], 1, atol=1e-5)


@pytest.mark.parametrize('other', ['0001.png', 'rgb_0001.jpg'])
def test_rgbd_refuses_two_photographs_of_one_depth_map(other, tmp_path):
  content = make_png(PHOTO) if other.endswith('png') else make_jpeg(PHOTO)
  _put_rgbd(tmp_path, **{f'images/{other}': content})
  assert_refused(lambda: rgbd.RgbdFolder(tmp_path), '0001.jpg', other)
  (tmp_path / 'depth' / '0001.png').rename(tmp_path / 'depth' / '0002.png')
  write_files(tmp_path, {'images/0002.jpg': make_jpeg(PHOTO)})
  assert list(rgbd.RgbdFolder(tmp_path).ids) == ['images-0002']


def test_rgbd_damage_is_named(tmp_path):
  for content, *words in [
    (make_png(STORED % 256), '0001.png', '8-bit'),
    (make_png(STORED.T, 16), '0001.png', '24 x 32 pixels', '32 x 24'),
    (make_png(PLANE * 0, 16), '0001.png', 'no pixel'),
    (make_png(STORED, 16)[:90], '0001.png', 'damaged'),
    (b'', '0001.png', 'PNG'),
  ]:
    _put_rgbd(tmp_path, **{'depth/0001.png': content})
    dataset = rgbd.RgbdFolder(tmp_path)
    assert_refused(lambda d=dataset: d.load(0), *words)
  _put_rgbd(tmp_path, **{'depth/0001.png': make_png(STORED, 16)})
  millimeters = rgbd.RgbdFolder(tmp_path, per_meter=1.0)
  assert_refused(lambda: millimeters.load(0), '0001.png', 'unit')
  write_files(tmp_path, {'depth/0002.png': make_png(STORED, 16)})
  alone = rgbd.RgbdFolder(tmp_path)
  assert alone.notes == ['1 depth maps have no photograph']
  assert_refused(lambda: rgbd.RgbdFolder(tmp_path / 'images'), 'depth/NAME')
  assert_refused(lambda: rgbd.RgbdFolder(tmp_path / 'gone'), 'no such folder')
  assert_refused(
    lambda: rgbd.RgbdFolder(tmp_path, per_meter=0.0), '--per-meter'
  )


SCENE = 'scans/scene0000_00'
SCANNET = {
  **{f'{SCENE}/color/{k}.jpg': make_jpeg(PHOTO) for k in (0, 9, 10)},
  **{f'{SCENE}/depth/{k}.png': make_png(STORED[::2, ::2], 16)
     for k in (0, 9, 10)},
  f'{SCENE}/intrinsic/intrinsic_color.txt':
    '30 0 15.5 0\n0 31 11.5 0\n0 0 1 0\n0 0 0 1\n',
  'train.txt': 'scene0000_00\n',
}  # fmt: skip


def test_scannet(tmp_path):
  write_files(tmp_path, SCANNET)
  dataset = scannet.ScanNet(tmp_path / 'scans')
  assert list(dataset.ids) == [f'scene0000_00-{k}' for k in (0, 9, 10)]
  picture = load_depth_picture(dataset)
  assert picture.intrinsics == SEEN
  assert (picture.depth_m[:2, :2] == 1.5).all()
  listed = scannet.ScanNet(
    tmp_path / 'scans', list=str(tmp_path / 'train.txt'), step=2
  )
  assert list(listed.ids) == ['scene0000_00-0', 'scene0000_00-10']
  (tmp_path / f'{SCENE}/color/9.jpg').unlink()
  assert_refused(lambda: scannet.ScanNet(tmp_path / 'scans'), 'color/9.jpg')
  assert_refused(lambda: scannet.ScanNet(tmp_path), '.sens')
  write_files(tmp_path, {'train.txt': '../scene'})
  assert_refused(
    lambda: scannet.ScanNet(tmp_path, list=str(tmp_path / 'train.txt')),
    'train.txt',
  )


DRIVE = '2011_09_26_drive_0001_sync'
TESTED = '2011_09_26_drive_0002_sync'
CALIBRATION = (
  'calib_time: 09-Jan-2012\nP_rect_02: 30 0 15.5 44 0 31 11.5 0 0 0 1 0\n'
)


def _put_kitti(root, depth=None, **changed):
  depth = make_png(STORED, 16) if depth is None else depth
  files = {
    'eigen_test_files_with_gt.txt':
      f'2011_09_26/{TESTED}/image_02/data/0000000069.png x.png 721.5\n',
    'raw/2011_09_26/calib_cam_to_cam.txt': CALIBRATION,
  }  # fmt: skip
  for drive in (DRIVE, TESTED):
    photo = f'raw/2011_09_26/{drive}/image_02/data/0000000005.png'
    ground = f'{drive}/proj_depth/groundtruth/image_02/0000000005.png'
    files |= {photo: make_png(PHOTO), f'depth/train/{ground}': depth}
  write_files(root, {**files, **changed})


def test_kitti(tmp_path):
  _put_kitti(tmp_path)
  dataset = kitti.Kitti(tmp_path)
  assert list(dataset.ids) == [f'{DRIVE}-image_02-0000000005']
  (left_out,) = dataset.exclusions
  assert left_out['name'] == 'eigen_test_files_with_gt.txt'
  assert left_out['left_out'] == 1
  picture = load_depth_picture(dataset)
  assert picture.depth_m[0, 0] == 1500 / 256
  assert np.isnan(picture.depth_m[2, 3])
  assert picture.intrinsics == SEEN
  (tmp_path / 'eigen_test_files_with_gt.txt').unlink()
  open_to_all = kitti.Kitti(tmp_path)
  assert len(open_to_all.ids) == 2 and 'kitti_eigen' in open_to_all.notes[0]
  assert_refused(lambda: kitti.Kitti(tmp_path, split='val'), 'depth/val')


def test_kitti_damage_is_named(tmp_path):
  calibration = 'raw/2011_09_26/calib_cam_to_cam.txt'
  photo = f'raw/2011_09_26/{DRIVE}/image_02/data/0000000005.png'
  for changed, *words in [
    ({'depth': make_png(STORED % 256, 16)}, '05.png', 'unit'),
    ({'depth': make_png(STORED % 256)}, '05.png', '8-bit'),
    ({'depth': make_png(STORED[:8], 16)}, '05.png', '32 x 8'),
    ({calibration: 'P_rect_03: 1'}, 'calib_cam_to_cam.txt', '12'),
    ({calibration: 'P_rect_00: ' + '1 ' * 12}, 'P_rect_02'),
    ({photo: b'nothing'}, '05.png'),
  ]:
    kitti._load_cameras.cache_clear()
    _put_kitti(tmp_path, **changed)
    dataset = kitti.Kitti(tmp_path)
    assert_refused(lambda d=dataset: d.load(0), *words)
  (tmp_path / photo).unlink()
  assert_refused(lambda: kitti.Kitti(tmp_path), '0000000005.png', '1 of the 1')


DIODE = 'train/indoors/scene_00000/scan_00000/00000_00000_indoors_000_010'
DEPTH_M = np.full((768, 1024, 1), 2.0)
DEPTH_M[0, :2, 0] = 2.5, 3.5
MASK = np.ones((768, 1024))
MASK[0, 1] = 0
NORMALS = np.zeros((768, 1024, 3))
NORMALS[..., 2], NORMALS[0, 0] = 1, 0


def test_diode(tmp_path):
  content = {
    f'{DIODE}.png': make_png(np.zeros((768, 1024, 3))),
    f'{DIODE}_depth.npy': make_npy(DEPTH_M),
    f'{DIODE}_depth_mask.npy': make_npy(MASK),
  }
  write_files(tmp_path, content)
  dataset = diode.Diode(tmp_path)
  assert list(dataset.ids) == ['00000_00000_indoors_000_010']
  picture = load_depth_picture(dataset)
  assert picture.depth_m[0, 0] == 2.5 and np.isnan(picture.depth_m[0, 1])
  assert picture.intrinsics == (886.81, 927.06, 512, 384)
  assert picture.normals is None
  write_files(tmp_path, {f'{DIODE}_normal.npy': make_npy(NORMALS)})
  normals = load_depth_picture(dataset).normals
  assert (normals[0, 0] == 0).all() and (normals[5, 5] == (0, 0, 1)).all()
  for suffix, bad, *words in [
    ('_depth', make_npy(DEPTH_M[..., 0]), 'depth.npy', 'shape'),
    ('_depth', make_npy(DEPTH_M * 1000), 'depth.npy', 'unit'),
    ('_depth', make_npy(-DEPTH_M), 'depth.npy', 'negative'),
    ('_depth_mask', make_npy(MASK * 3), 'mask.npy', '0 and 1'),
    ('_depth_mask', make_npy(MASK * 0), 'depth.npy', 'no pixel'),
    ('_normal', make_npy(-NORMALS), 'normal.npy', 'away'),
  ]:
    write_files(tmp_path, {**content, f'{DIODE}{suffix}.npy': bad})
    assert_refused(lambda: dataset.load(0), *words)
  (tmp_path / f'{DIODE}_depth_mask.npy').unlink()
  assert_refused(lambda: diode.Diode(tmp_path), '_depth_mask.npy')
  assert_refused(lambda: diode.Diode(tmp_path, split='val'), 'val/indoors')


def test_nyuv2_frames(tmp_path):
  photo = make_jpeg(np.zeros((480, 640, 3)))
  depth = np.full((480, 640), 2500)
  depth[0, 0] = 0
  for number in ('00000', '00001'):
    write_files(
      tmp_path,
      {
        f'bath_0001/rgb_{number}.jpg': photo,
        f'bath_0001/sync_depth_{number}.png': make_png(depth, 16),
      },
    )
  dataset = nyuv2.NyuV2(tmp_path)
  assert list(dataset.ids) == ['bath_0001-00000', 'bath_0001-00001']
  picture = load_depth_picture(dataset)
  assert np.isnan(picture.depth_m[0, 0]) and picture.depth_m[9, 9] == 2.5
  assert picture.intrinsics[:2] == (518.8579, 519.46961)
  assert_refused(lambda: nyuv2.NyuV2(tmp_path, split='test'), '--split test')
  first = 'bath_0001/sync_depth_00000.png'
  write_files(tmp_path, {first: make_png(depth * 20, 16)})
  assert_refused(lambda: dataset.load(0), 'sync_depth_00000.png', 'unit')
  write_files(tmp_path, {first: make_png(STORED, 16)})
  assert_refused(lambda: dataset.load(0), 'sync_depth_00000.png', '640 x 480')
  (tmp_path / 'bath_0001/rgb_00001.jpg').unlink()
  assert_refused(lambda: nyuv2.NyuV2(tmp_path), 'rgb_00001.jpg')


def test_nyuv2_container(tmp_path):
  h5py = pytest.importorskip('h5py')
  pytest.importorskip('scipy.io')
  depth_m = np.full((2, 640, 480), 2.5, 'f4')
  depth_m[1, 639, 0], depth_m[1, 0, 479] = 4.0, 0.0
  path = tmp_path / 'nyu_depth_v2_labeled.mat'
  with h5py.File(path, 'w', userblock_size=512) as f:
    f.create_dataset('images', data=np.zeros((2, 3, 640, 480), 'u1'))
    f.create_dataset('rawDepths', data=depth_m)
  split = make_mat5({'trainNdxs': [2], 'testNdxs': [1]})
  write_files(tmp_path, {'splits.mat': split})
  dataset = nyuv2.NyuV2(tmp_path)
  assert list(dataset.ids) == ['0002']
  picture = load_depth_picture(dataset)
  assert picture.depth_m[0, 639] == 4.0 and np.isnan(picture.depth_m[479, 0])
  assert picture.encoded.startswith(b'\x89PNG')
  assert list(nyuv2.NyuV2(tmp_path, split='test').ids) == ['0001']
