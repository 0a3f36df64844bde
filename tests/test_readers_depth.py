"""Depth readers on folders written byte by byte: ids, meters, holes, errors."""

import sys

import numpy as np
import pytest
from byte_files import assert_reader_refuses as refused
from byte_files import make_floats, make_jpeg, make_mat5, make_npy, make_png
from byte_files import write as write_files

from vbanana_jax.benchmark.readers import READERS

RNG = np.random.default_rng(21)
PHOTO = RNG.integers(0, 256, (6, 8, 3))
# Known values at the corners, and a hole.
STORED = RNG.integers(1000, 5000, (6, 8))
STORED[0, 0], STORED[0, 7], STORED[5, 0], STORED[2, 3] = 256, 512, 40000, 0


def load_depth_m(reader, number=0):
  truth = reader.load_truth(reader.items[number])
  assert set(truth) == {'depth_m'}
  assert truth['depth_m'].dtype == np.float32
  assert np.isfinite(truth['depth_m']).all() and (truth['depth_m'] >= 0).all()
  return truth['depth_m']


DRIVE = '2011_09_26_drive_0002_sync'
KITTI_LIST = ''.join(
  f'2011_09_26/{DRIVE}/image_02/data/{frame:010d}.png {depth} 721.5377\n'
  for frame, depth in [
    (69, f'{DRIVE}/proj_depth/groundtruth/image_02/0000000069.png'),
    (54, 'None'),
    (42, f'{DRIVE}/proj_depth/groundtruth/image_02/0000000042.png'),
  ]
)
GROUND = f'{DRIVE}/proj_depth/groundtruth/image_02'
KITTI = {
  'eigen_test_files_with_gt.txt': KITTI_LIST,
  f'raw/2011_09_26/{DRIVE}/image_02/data/0000000069.png': make_png(PHOTO),
  f'raw/2011_09_26/{DRIVE}/image_02/data/0000000042.png': make_png(PHOTO),
  f'depth/val/{GROUND}/0000000069.png': make_png(STORED, 16),
  f'depth/{GROUND}/0000000042.png': make_png(STORED + 256, 16),
}


def test_kitti_eigen(tmp_path):
  write_files(tmp_path, KITTI)
  reader = READERS['kitti'](tmp_path, 'eigen')
  assert [item.id for item in reader.items] == [
    f'{DRIVE}-image_02-0000000069',
    f'{DRIVE}-image_02-0000000042',
  ]
  depth_m = load_depth_m(reader)
  assert depth_m[0, 0] == 1.0 and depth_m[0, 7] == 2.0
  assert depth_m[5, 0] == 156.25 and depth_m[2, 3] == 0.0
  np.testing.assert_array_equal(load_depth_m(reader, 1)[0, 0], 2.0)
  image = reader.load_image(reader.items[0])
  np.testing.assert_array_equal(image, PHOTO)


def test_kitti_damage_is_named(tmp_path):
  first = f'depth/val/{GROUND}/0000000069.png'
  cases = [
    (make_png(STORED % 256), ('0000000069.png', '8-bit')),
    (make_png(STORED % 256, 16), ('0000000069.png', 'unit')),
    (make_png(STORED, 16)[:80], ('0000000069.png', 'damaged')),
    (make_png(STORED[:4], 16), ('8 x 4 pixels', '8 x 6')),
  ]
  for content, words in cases:
    write_files(tmp_path, {**KITTI, first: content})
    refused('kitti', tmp_path, 'eigen', *words, item=0)
  (tmp_path / first).unlink()
  refused('kitti', tmp_path, 'eigen', first[10:], '1 of the 2')
  for line in ('alone\n', '../a/b/c.png x 1\n', 'a.png b.png 1\n'):
    write_files(tmp_path, {'eigen_test_files_with_gt.txt': line})
    refused('kitti', tmp_path, 'eigen', 'eigen_test_files_with_gt.txt')
  write_files(tmp_path, {'eigen_test_files_with_gt.txt': ''})
  refused('kitti', tmp_path, 'eigen', 'no examples')


def test_kitti_official(tmp_path):
  folder = 'val_selection_cropped'
  frame = f'{DRIVE}_{{}}_0000000005_image_02.png'
  write_files(
    tmp_path,
    {
      f'{folder}/image/{frame.format("image")}': make_png(PHOTO),
      f'{folder}/groundtruth_depth/{frame.format("groundtruth_depth")}':
      make_png(STORED, 16),
    },
  )  # fmt: skip
  reader = READERS['kitti_official'](tmp_path, 'val_selection')
  assert [item.id for item in reader.items] == [frame.format('image')[:-4]]
  assert load_depth_m(reader)[0, 7] == 2.0


def test_eth3d(tmp_path):
  depth_m = RNG.uniform(1, 30, (6, 8))
  depth_m[0, 0], depth_m[0, 7], depth_m[5, 0] = 1.5, 25.0, np.inf
  photo = 'hall_a/images/dslr_images/DSC_0001.JPG'
  depth = 'hall_a/ground_truth_depth/dslr_images/DSC_0001.JPG'
  content = {photo: make_jpeg(PHOTO), depth: make_floats(depth_m)}
  write_files(tmp_path, content)
  reader = READERS['eth3d'](tmp_path, 'training')
  assert [item.id for item in reader.items] == ['hall_a-DSC_0001']
  loaded = load_depth_m(reader)
  assert loaded[0, 0] == 1.5 and loaded[0, 7] == 25.0 and loaded[5, 0] == 0.0
  assert reader.load_image(reader.items[0]).shape == (6, 8, 3)
  for bad, words in [
    (content[depth][:-4], ('DSC_0001.JPG', '188 bytes', '192')),
    (make_jpeg(PHOTO), ('ground_truth_depth', 'bytes')),
    (make_floats(depth_m * 1000), ('ground_truth_depth', 'unit')),
    (make_floats(-depth_m), ('negative',)),
  ]:
    write_files(tmp_path, {depth: bad})
    refused('eth3d', tmp_path, 'training', *words, item=0)
  (tmp_path / depth).rename(tmp_path / 'hall_a/ground_truth_depth/moved.JPG')
  refused('eth3d', tmp_path, 'training', 'ground_truth_depth/dslr_images')


IBIMS = {
  'imagelist.txt': 'hall_01\nattic_02\n',
  **{f'rgb/{name}.png': make_png(PHOTO) for name in ('hall_01', 'attic_02')},
}
FULL = np.full((6, 8), 255)


def write_ibims(root, depth, invalid=FULL, transp=FULL):
  masks = {'mask_invalid': make_png(invalid), 'mask_transp': make_png(transp)}
  files = {'depth': depth, **masks}
  for name in ('hall_01', 'attic_02'):
    write_files(root, {f'{f}/{name}.png': c for f, c in files.items()})
  write_files(root, IBIMS)


def test_ibims1(tmp_path):
  invalid, transp = FULL.copy(), FULL.copy()
  invalid[1, 1] = transp[1, 2] = 0
  stored = STORED.copy()
  stored[0, 0] = 65535
  write_ibims(tmp_path, make_png(stored, 16), invalid, transp)
  reader = READERS['ibims1'](tmp_path, 'test')
  assert [item.id for item in reader.items] == ['hall_01', 'attic_02']
  depth_m = load_depth_m(reader)
  assert depth_m[0, 0] == 50.0
  assert depth_m[1, 1] == depth_m[1, 2] == depth_m[2, 3] == 0.0
  np.testing.assert_allclose(depth_m[0, 7], 512 * 50 / 65535, rtol=1e-6)
  write_ibims(tmp_path, make_png(STORED, 16), FULL * 0)
  refused('ibims1', tmp_path, 'test', 'mask_invalid', 'inverted', item=0)
  write_ibims(tmp_path, make_png(STORED % 256))
  refused('ibims1', tmp_path, 'test', 'depth/hall_01.png', '8-bit', item=0)
  write_files(tmp_path, {'imagelist.txt': 'hall_01\ngone\n'})
  refused('ibims1', tmp_path, 'test', 'rgb/gone.png', '1 of the 2')
  write_files(tmp_path, {'imagelist.txt': 'hall_01\n../x\n'})
  refused('ibims1', tmp_path, 'test', 'imagelist.txt', '../x')


DIODE = 'val/indoors/scene_00019/scan_00183/00019_00183_indoors_000_010'
DEPTH_M = np.tile(RNG.uniform(1, 8, (3, 4, 1)), (256, 256, 1))
DEPTH_M[0, 0], DEPTH_M[0, 1], DEPTH_M[767, 1023] = 2.5, 3.5, 7.25
MASK = np.ones((768, 1024))
MASK[0, 1] = 0


def test_diode(tmp_path):
  write_files(
    tmp_path,
    {
      f'{DIODE}.png': make_png(np.zeros((768, 1024, 3))),
      f'{DIODE}_depth.npy': make_npy(DEPTH_M),
      f'{DIODE}_depth_mask.npy': make_npy(MASK),
      f'{DIODE}_normal.npy': b'of another download',
      f'{DIODE.replace("indoors", "outdoor")}.png': b'',
    },
  )
  reader = READERS['diode'](tmp_path, 'val_indoors')
  assert [item.id for item in reader.items] == ['00019_00183_indoors_000_010']
  depth_m = load_depth_m(reader)
  assert depth_m.shape == (768, 1024)
  assert (depth_m[0, 0], depth_m[0, 1]) == (2.5, 0.0)
  assert depth_m[767, 1023] == 7.25
  assert reader.load_image(reader.items[0]).shape == (768, 1024, 3)
  refused('diode', tmp_path, 'val_outdoor', '_depth.npy', '1 of the 1')
  for suffix, bad, words in [
    ('_depth', make_npy(DEPTH_M[..., 0]), ('depth.npy', 'shape')),
    ('_depth', make_npy(DEPTH_M, '<i4'), ('depth.npy', 'int32')),
    ('_depth', make_npy(DEPTH_M)[:-9], ('depth.npy', 'whole')),
    ('_depth', make_npy(DEPTH_M * 1000), ('depth.npy', 'unit')),
    ('_depth_mask', make_npy(MASK * 3), ('mask.npy', '0 and 1')),
  ]:
    write_files(tmp_path, {f'{DIODE}{suffix}.npy': bad})
    refused('diode', tmp_path, 'val_indoors', *words, item=0)


def test_virtual_kitti2(tmp_path):
  stored = STORED.copy()
  stored[0, 0], stored[0, 7], stored[5, 0] = 65535, 65534, 150
  depth = 'Scene01/clone/frames/depth/Camera_0/depth_00001.png'
  write_files(
    tmp_path,
    {
      'Scene01/clone/frames/rgb/Camera_0/rgb_00001.jpg': make_jpeg(PHOTO),
      'Scene01/clone/frames/rgb/Camera_1/rgb_00001.jpg': make_jpeg(PHOTO),
      'Scene01/fog/frames/rgb/Camera_0/rgb_00001.jpg': make_jpeg(PHOTO),
      depth: make_png(stored, 16),
    },
  )
  reader = READERS['vkitti2'](tmp_path, 'clone')
  assert [item.id for item in reader.items] == ['Scene01-clone-00001']
  depth_m = load_depth_m(reader)
  assert depth_m[0, 0] == 0.0 and depth_m[5, 0] == 1.5
  np.testing.assert_allclose(depth_m[0, 7], 655.34, rtol=1e-6)
  refused('vkitti2', tmp_path, 'fog', 'Scene*/fog/frames/depth')
  refused('vkitti2', tmp_path, 'snow', 'snow', 'clone')
  write_files(tmp_path, {depth: make_png(PHOTO)})
  refused('vkitti2', tmp_path, 'clone', 'depth_00001.png', 'RGB', item=0)


def write_nyuv2(root, *, scale=1.0, dtype='f4', numbers=(3, 1), **missing):
  """Three frames of the real size; frame 3 has known corners."""
  h5py = pytest.importorskip('h5py')
  pytest.importorskip('scipy.io')
  images = np.zeros((3, 3, 640, 480), 'u1')
  images[2, 0, 639, 0], images[2, 2, 0, 479] = 200, 100
  depth_m = np.full((3, 640, 480), 2.5)
  depth_m[2, 639, 0], depth_m[2, 0, 479], depth_m[2, 5, 6] = 4.0, 1.25, 0.0
  # MATLAB writes 512 bytes of its own ahead of the HDF5 part.
  path = root / 'nyu_depth_v2_labeled.mat'
  with h5py.File(path, 'w', userblock_size=512) as f:
    f.create_dataset('images', data=images)
    f.create_dataset('depths', data=depth_m + 1)
    if 'without' not in missing:
      f.create_dataset('rawDepths', data=(depth_m * scale).astype(dtype))
  split = make_mat5({'trainNdxs': [2], 'testNdxs': numbers})
  (root / 'splits.mat').write_bytes(split)


def test_nyuv2(tmp_path):
  write_nyuv2(tmp_path)
  reader = READERS['nyuv2'](tmp_path, 'test')
  assert [item.id for item in reader.items] == ['0003', '0001']
  assert [item.image for item in reader.items] == ['', '']
  depth_m = load_depth_m(reader)
  assert depth_m.shape == (480, 640)
  assert depth_m[0, 639] == 4.0 and depth_m[479, 0] == 1.25
  assert depth_m[6, 5] == 0.0 and depth_m[1, 1] == 2.5
  image = reader.load_image(reader.items[0])
  assert image.shape == (480, 640, 3)
  np.testing.assert_array_equal(image[0, 639], (200, 0, 0))
  np.testing.assert_array_equal(image[479, 0], (0, 0, 100))
  assert len(READERS['nyuv2'](tmp_path, 'train').items) == 1


def test_nyuv2_damage_is_named(tmp_path):
  container = tmp_path / 'nyu_depth_v2_labeled.mat'
  write_nyuv2(tmp_path, scale=1000)
  refused('nyuv2', tmp_path, 'test', container.name, 'unit', item=0)
  write_nyuv2(tmp_path, dtype='u2')
  refused('nyuv2', tmp_path, 'test', container.name, 'uint16', item=0)
  write_nyuv2(tmp_path, numbers=(0,))
  refused('nyuv2', tmp_path, 'test', 'splits.mat', 'frame 0', '1 to 3')
  write_nyuv2(tmp_path, numbers=(1.5,))
  refused('nyuv2', tmp_path, 'test', 'splits.mat', 'frame numbers')
  write_nyuv2(tmp_path, without=True)
  refused('nyuv2', tmp_path, 'test', container.name, 'rawDepths')
  write_nyuv2(tmp_path)
  split = tmp_path / 'splits.mat'
  whole = split.read_bytes()
  for content in (b'', b'text', whole[:150], whole[:200], whole[:-20]):
    split.write_bytes(content)
    refused('nyuv2', tmp_path, 'test', 'splits.mat')
  split.write_bytes(make_mat5({'other': [1]}))
  refused('nyuv2', tmp_path, 'test', 'splits.mat', 'testNdxs')
  split.write_bytes(whole)
  for length in (0, 100, 5000):
    container.write_bytes(container.read_bytes()[:length])
    refused('nyuv2', tmp_path, 'test', container.name)
  container.unlink()
  refused('nyuv2', tmp_path, 'test', container.name, 'https://')


def test_missing_extra_names_its_remedy(tmp_path, monkeypatch):
  write_nyuv2(tmp_path)
  for package in ('h5py', 'scipy.io'):
    with monkeypatch.context() as patch:
      patch.setitem(sys.modules, package, None)
      refused('nyuv2', tmp_path, 'test', 'vbanana-jax[benchmarks]')
