"""Normals readers on folders written byte by byte: axes, holes, errors."""

import numpy as np
import pytest
from byte_files import assert_reader_refuses as refused
from byte_files import make_jpeg, make_npy, make_png
from byte_files import write as write_files

from vbanana_jax.benchmark.readers import READERS
from vbanana_jax.codecs import normals as codec

RNG = np.random.default_rng(22)
PHOTO = RNG.integers(0, 256, (6, 8, 3))


def make_facing_normals(shape):
  """Random unit vectors with z towards the viewer."""
  vectors = RNG.normal(size=(*shape, 3))
  vectors[..., 2] = np.abs(vectors[..., 2])
  return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def paint(normals, bits):
  """Colors as DSINE's files have them: x left, y up, z to the viewer."""
  x_left = normals * (-1, 1, 1)
  return np.rint((x_left + 1) / 2 * (2**bits - 1)).astype(int)


SETS = [
  ('nyuv2', 'nyuv2/test/000000', '.png', 8, 'test-000000'),
  ('scannet', 'scannet/scene0532_00/000002', '.png', 8, 'scene0532_00-000002'),
  ('vkitti', 'vkitti/Scene01/000000', '.jpg', 16, 'Scene01-000000'),
]


def write_dsine(root, stem, suffix, colors, bits):
  photo = make_png(PHOTO) if suffix == '.png' else make_jpeg(PHOTO)
  write_files(
    root,
    {
      f'{stem}_img{suffix}': photo,
      f'{stem}_normal.png': make_png(colors, bits, filters=range(5)),
      f'{stem}_intrins.npy': make_npy(np.eye(3)),
    },
  )


@pytest.mark.parametrize('split, stem, suffix, bits, name', SETS)
def test_dsine(tmp_path, split, stem, suffix, bits, name):
  normals = make_facing_normals((6, 8))
  normals[0, 0], normals[0, 7], normals[5, 0] = np.eye(3)
  colors = paint(normals, bits)
  colors[2, 3] = 0
  write_dsine(tmp_path, stem, suffix, colors, bits)
  reader = READERS['dsine'](tmp_path, split)
  assert [item.id for item in reader.items] == [name]
  assert reader.load_image(reader.items[0]).shape == (6, 8, 3)
  loaded = reader.load_truth(reader.items[0])['normals']
  assert loaded.dtype == np.float32
  np.testing.assert_array_equal(loaded[2, 3], 0.0)
  normals[2, 3] = 0.0
  np.testing.assert_allclose(loaded, normals, atol=1.01 / (2**bits - 1))
  # A surface that faces right has no red, in the file and in our colors.
  assert colors[0, 0, 0] == 0 and loaded[0, 0, 0] == 1.0
  decoded = np.asarray(codec.decode(colors / np.float32(2**bits - 1)))
  kept = loaded.any(-1)
  units = loaded[kept] / np.linalg.norm(loaded[kept], axis=-1, keepdims=True)
  np.testing.assert_allclose(decoded[kept], units, atol=2e-6)


def test_dsine_damage_is_named(tmp_path):
  normals = make_facing_normals((6, 8))
  colors = paint(normals, 8)
  stem = 'nyuv2/test/000000'
  truth = f'{stem}_normal.png'
  write_dsine(tmp_path, stem, '.png', colors, 8)
  flipped = paint(normals * (1, 1, -1), 8)
  for bad, words in [
    (make_png(paint(normals, 16), 16), ('16-bit RGB', '8-bit')),
    (make_png(flipped), ('away', 'axes')),
    (make_png(colors // 4 + 96), ('length', 'encoding')),
    (make_png(colors[:4]), ('8 x 4 pixels',)),
    (make_png(colors)[:70], ('damaged',)),
  ]:
    write_files(tmp_path, {truth: bad})
    refused('dsine', tmp_path, 'nyuv2', truth, *words, item=0)
  (tmp_path / f'{stem}_img.png').unlink()
  refused('dsine', tmp_path, 'nyuv2', 'nyuv2/*/*_img.*', 'github')
  refused('dsine', tmp_path, 'scannet', 'scannet/*/*_normal.png')


DIODE = 'val/indoors/scene_00019/scan_00183/00019_00183_indoors_000_010'


def test_diode_normals(tmp_path):
  normals = np.tile(make_facing_normals((3, 4)), (256, 256, 1))
  normals[0, 0], normals[767, 1023], normals[3, 4] = (1, 0, 0), (0, 1, 0), 0
  normals[5, 6] = np.nan
  content = {
    f'{DIODE}.png': make_png(np.zeros((768, 1024, 3))),
    f'{DIODE}_normal.npy': make_npy(normals),
  }
  write_files(tmp_path, content)
  reader = READERS['diode_normals'](tmp_path, 'val_indoors')
  assert [item.id for item in reader.items] == ['00019_00183_indoors_000_010']
  loaded = reader.load_truth(reader.items[0])['normals']
  assert loaded.shape == (768, 1024, 3) and loaded.dtype == np.float32
  np.testing.assert_array_equal(loaded[0, 0], (1, 0, 0))
  np.testing.assert_array_equal(loaded[767, 1023], (0, 1, 0))
  assert not loaded[3, 4].any() and not loaded[5, 6].any()
  for bad, words in [
    (make_npy(normals * (1, -1, -1)), ('away', 'axes')),
    (make_npy(normals * 2), ('length',)),
    (make_npy(normals.transpose(2, 0, 1)), ('shape', '768 x 1024 x 3')),
    (make_npy(np.zeros((768, 1024, 3)), '|u1'), ('uint8',)),
  ]:
    write_files(tmp_path, {f'{DIODE}_normal.npy': bad})
    words = ('_normal.npy', *words)
    refused('diode_normals', tmp_path, 'val_indoors', *words, item=0)
  (tmp_path / f'{DIODE}_normal.npy').unlink()
  refused('diode_normals', tmp_path, 'val_indoors', '_normal.npy')


def make_room(height=768, width=1024):
  """Depth and normals of a box seen from its middle: x right, y up."""
  rows, columns = np.mgrid[:height, :width]
  x = (columns + 0.5 - width / 2) / width
  y = (height / 2 - rows - 0.5) / width
  # Rays (x, y, -1) meet walls at x = 2, -2, floor y = -1, ceiling and back.
  walls = [
    (np.array((-1.0, 0, 0)), -2.0),
    (np.array((1.0, 0, 0)), -2.0),
    (np.array((0, 1.0, 0)), -1.0),
    (np.array((0, -1.0, 0)), -1.5),
    (np.array((0, 0, 1.0)), -9.0),
  ]
  rays = np.stack([x, y, -np.ones_like(x)], -1)
  with np.errstate(divide='ignore'):
    hits = np.stack([offset / (rays @ normal) for normal, offset in walls])
  hits[hits <= 0] = np.inf
  return hits.min(0), np.stack([n for n, _ in walls])[hits.argmin(0)]


def test_mirrored_normals_contradict_the_depth(tmp_path):
  depth_m, normals = make_room()
  mask = np.ones_like(depth_m)
  mask[:9] = 0
  write_files(
    tmp_path,
    {
      f'{DIODE}.png': make_png(np.zeros((768, 1024, 3))),
      f'{DIODE}_depth.npy': make_npy(depth_m[..., None]),
      f'{DIODE}_depth_mask.npy': make_npy(mask),
      f'{DIODE}_normal.npy': make_npy(normals),
    },
  )
  reader = READERS['diode_normals'](tmp_path, 'val_indoors')
  loaded = reader.load_truth(reader.items[0])['normals']
  np.testing.assert_array_equal(loaded, normals)
  for signs, axis in [((-1, 1, 1), 'x'), ((1, -1, 1), 'y')]:
    mirrored = make_npy(normals * signs)
    write_files(tmp_path, {f'{DIODE}_normal.npy': mirrored})
    words = ('_normal.npy', 'mirrored', f'{axis} contradicts')
    refused('diode_normals', tmp_path, 'val_indoors', *words, item=0)
