"""Files come back exactly as stored; every damaged one is named."""

import json
import pathlib

import numpy as np
import pytest
from byte_files import assert_refused as refused
from byte_files import make_floats, make_jpeg, make_npy, make_png, write
from PIL import Image

from vbanana_jax.benchmark.readers import base, files
from vbanana_jax.data import photos

RNG = np.random.default_rng(20)
GRAY16 = RNG.integers(0, 65536, (7, 5))
RGB8 = RNG.integers(0, 256, (7, 5, 3))
RGB16 = RNG.integers(0, 65536, (10, 5, 3))


def put(folder, content, name='file.bin'):
  path = folder / name
  path.write_bytes(content)
  return path


def test_gray_16_bits_under_all_filters(tmp_path):
  path = put(tmp_path, make_png(GRAY16, 16, filters=range(5)))
  stored = files.load_png16(path)
  assert stored.dtype == np.uint16
  np.testing.assert_array_equal(stored, GRAY16)


@pytest.mark.parametrize('bits, rgb', [(8, RGB8), (16, RGB16)])
def test_rgb_keeps_every_bit_under_all_filters(tmp_path, bits, rgb):
  path = put(tmp_path, make_png(rgb, bits, filters=range(5)))
  stored = files.load_png_rgb(path, bits)
  assert stored.dtype == (np.uint16 if bits == 16 else np.uint8)
  np.testing.assert_array_equal(stored, rgb)


def test_other_kinds_of_png_are_refused(tmp_path):
  gray8 = put(tmp_path, make_png(GRAY16 % 256), 'grey8.png')
  rgb8 = put(tmp_path, make_png(RGB8), 'rgb8.png')
  refused(lambda: files.load_png16(gray8), 'grey8.png', '8-bit grey', '16-bit')
  refused(lambda: files.load_png16(rgb8), '8-bit RGB')
  refused(lambda: files.load_png_rgb(rgb8, 16), '8-bit RGB', '16-bit RGB')
  refused(lambda: files.load_png_rgb(gray8, 8), '8-bit grey')
  refused(lambda: files.load_labels(rgb8), 'RGB', 'labels')
  photo = put(tmp_path, make_jpeg(RGB8), 'photo.png')
  refused(lambda: files.load_png16(photo), 'photo.png', 'not a PNG')


def test_labels_are_not_converted(tmp_path):
  colors = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
  rows = RNG.integers(0, 3, (4, 6))
  path = put(tmp_path, make_png(rows, palette=colors))
  stored = files.load_labels(path)
  assert stored.dtype == np.uint8
  np.testing.assert_array_equal(stored, rows)
  path = put(tmp_path, make_png(GRAY16, 16))
  np.testing.assert_array_equal(files.load_labels(path), GRAY16)


def test_photographs_are_taken_as_stored(tmp_path):
  path = put(tmp_path, make_png(RGB8))
  np.testing.assert_array_equal(files.load_rgb(path), RGB8)
  turned = tmp_path / 'turned.jpg'
  exif = Image.Exif()
  exif[0x0112] = 6
  Image.new('RGB', (12, 8)).save(turned, exif=exif)
  assert files.load_rgb(turned).shape == (8, 12, 3)
  assert files.load_image_size(turned) == (8, 12)
  assert photos.open_photo(turned).shape == (12, 8, 3)
  deep = put(tmp_path, make_png(GRAY16, 16), 'deep.png')
  refused(lambda: files.load_rgb(deep), 'deep.png', '8-bit')


@pytest.mark.parametrize('cut', [4, 20, 40, 60, -30, -13, -1])
def test_truncated_pictures_are_named(tmp_path, cut):
  gray = put(tmp_path, make_png(GRAY16, 16)[:cut], 'cut.png')
  refused(lambda: files.load_png16(gray), 'cut.png')
  refused(lambda: files.load_labels(gray), 'cut.png')
  rgb = put(tmp_path, make_png(RGB16, 16)[:cut], 'cut.png')
  refused(lambda: files.load_png_rgb(rgb, 16), 'cut.png')
  refused(lambda: files.load_rgb(rgb), 'cut.png')


def test_cut_or_changed_pictures_are_named(tmp_path):
  noise = RNG.integers(0, 256, (64, 64, 3))
  photo = put(tmp_path, make_jpeg(noise)[:-500], 'cut.jpg')
  refused(lambda: files.load_rgb(photo), 'cut.jpg', 'damaged')
  encoded = bytearray(make_png(GRAY16, 16))
  encoded[60] ^= 1  # inside the pixels
  changed = put(tmp_path, bytes(encoded), 'changed.png')
  refused(lambda: files.load_png16(changed), 'changed.png', 'damaged')


def test_size_is_read_before_pixels(tmp_path, monkeypatch):
  monkeypatch.setattr(photos, 'MAX_PIXELS', 34)
  path = put(tmp_path, make_png(GRAY16, 16)[:45], 'big.png')
  for load in (files.load_png16, files.load_labels):
    refused(lambda load=load: load(path), 'big.png', '5 x 7 pixels')


@pytest.mark.parametrize('descr', ['<f4', '>f4', '<f8', '|u1', '<i8'])
def test_npy_of_any_number(tmp_path, descr):
  array = np.arange(24).reshape(2, 3, 4)
  path = put(tmp_path, make_npy(array, descr))
  stored = files.load_npy(path, shape=(2, None, 4))
  np.testing.assert_array_equal(stored, array)
  assert stored.dtype == np.dtype(descr)


def test_bad_npy_is_named(tmp_path):
  good = make_npy(np.zeros((3, 4)))
  cases = {
    'cut.npy': good[:-1],
    'header.npy': good[:40],
    'text.npy': b'no array',
    'empty.npy': b'',
    'shape.npy': good.replace(b'(3, 4)', b'(9, 9)'),
    'code.npy': good.replace(b'(3, 4)', b'(3, f)'),
    'brackets.npy': good.replace(b'(3, 4)', b'(3, (4'),
    'huge.npy': good.replace(b'4), }' + b' ' * 17, b'9' * 20 + b')}'),
    'pickle.npy': b'\x80\x04K\x01.',
  }  # fmt: skip
  for name, content in cases.items():
    path = put(tmp_path, content, name)
    refused(lambda path=path: files.load_npy(path), name)
  objects = put(tmp_path, make_npy(np.zeros(2), '<f8').replace(b'<f8', b'|O '))
  refused(lambda: files.load_npy(objects), 'file.bin')
  path = put(tmp_path, good)
  refused(lambda: files.load_npy(path, shape=(3, 5)), '(3, 4)', '3 x 5')
  refused(lambda: files.load_npy(path, dtypes='ui'), 'float32')
  refused(lambda: files.load_npy(tmp_path / 'gone.npy'), 'gone.npy: no such')


def test_raw_floats_need_the_exact_size(tmp_path):
  values = RNG.normal(size=(3, 4))
  path = put(tmp_path, make_floats(values))
  stored = files.load_raw_float32(path, (3, 4))
  np.testing.assert_array_equal(stored, values.astype(np.float32))
  refused(lambda: files.load_raw_float32(path, (3, 5)), '48 bytes', '60')


def test_json_and_lists(tmp_path):
  path = put(tmp_path, b'{"a": [1, 2]}')
  assert files.load_json(path, dict) == {'a': [1, 2]}
  refused(lambda: files.load_json(path, list), 'dict', 'list')
  refused(lambda: files.load_json(path, keep=lambda row: row['b']), 'field')
  deep = put(tmp_path, b'[' * 100_000, 'deep.json')
  refused(lambda: files.load_json(deep), 'deep.json')
  for content in (b'{"a": ', b'\xff\xfe', b''):
    path = put(tmp_path, content, 'bad.json')
    refused(lambda path=path: files.load_json(path), 'bad.json')
  path = put(tmp_path, '\ufeffa b\r\n\r\n  c \n'.encode())
  assert files.load_lines(path) == ['a b', 'c']
  path = put(tmp_path, json.dumps('x').encode() + b'\xff', 'list.txt')
  refused(lambda: files.load_lines(path), 'list.txt', 'text')


def test_ids_and_names():
  assert base.make_id('a b', 'c+d/e.png') == 'a_b-c_d_e.png'
  items = [base.Item('a', 'a.png'), base.Item('a', 'b.png')]
  refused(lambda: base.check_ids(items, 'folder'), 'folder', 'a')
  refused(lambda: base.check_ids([], 'folder'), 'folder', 'no examples')
  assert base.check_name('a/b.png', 'list') == 'a/b.png'
  for name in ('/a', '../a', 'a/../../b', 'a\\b', 'C:/a', ''):
    refused(lambda name=name: base.check_name(name, 'list.txt'), 'list.txt')


def test_depth_has_no_hole_but_zero():
  depth_m = np.array([[1.0, 0.0], [np.inf, 1e300], [0.0, 3.0]])
  made = base.make_depth_m(depth_m, 'file', median_m=(1, 3))
  assert made.dtype == np.float32
  np.testing.assert_array_equal(made, [[1, 0], [0, 0], [0, 3]])
  refused(
    lambda: base.make_depth_m(depth_m * 1000, 'f.png', median_m=(1, 3)),
    'f.png',
    '2000 m',
    'unit',
  )
  refused(
    lambda: base.make_depth_m(-depth_m, 'f.png', median_m=(1, 3)), 'negative'
  )
  depth_m[0, 1] = np.nan
  refused(
    lambda: base.make_depth_m(depth_m, 'f.png', median_m=(1, 3)), 'NaN depth'
  )


def test_layout_is_checked_by_name(tmp_path):
  write(tmp_path, {'test/a.png': b'', '.b.png': b''})
  layout = ('{split}/*.png', '{split}/*.npy', 'list.txt')
  missing = base.find_missing(pathlib.Path(tmp_path), layout, 'test')
  assert missing == ['test/*.npy', 'list.txt']
