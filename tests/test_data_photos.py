"""Photographs of every kind are opened upright, and bad ones are refused."""

import errno
import gzip
import io
import pathlib
import struct

import numpy as np
import pytest
from byte_files import make_png, make_tiff
from PIL import Image

from vbanana_jax.data import image_formats, photos
from vbanana_jax.errors import UserError

GRADIENT = np.zeros((6, 8, 3), np.uint8)
GRADIENT[..., 0] = np.arange(8) * 30
GRADIENT[..., 1] = np.arange(6)[:, None] * 40


GRAY_16 = np.array([[[0], [129], [25_700], [65_407], [65_535]]], np.uint16)
METERS = np.linspace(0, 9, 6, dtype=np.float32).reshape(2, 3, 1)
IDS = np.full((2, 3, 1), 70_000, np.uint32)


def encode(image, **options):
  file = io.BytesIO()
  image.save(file, **options)
  return file.getvalue()


@pytest.mark.parametrize('form', ['PNG', 'WEBP', 'TIFF', 'BMP', 'GIF'])
def test_lossless_pictures_come_back_exactly(form):
  options = {'lossless': True} if form == 'WEBP' else {}
  encoded = encode(Image.fromarray(GRADIENT), format=form, **options)
  np.testing.assert_array_equal(photos.open_photo(encoded), GRADIENT)


@pytest.mark.parametrize('mode', ['RGB', 'CMYK', 'L'])
def test_jpeg_modes_keep_their_color(mode):
  flat = Image.new('RGB', (16, 16), (200, 200, 200)).convert(mode)
  rgb = photos.open_photo(encode(flat, format='JPEG', quality=95))
  assert rgb.shape == (16, 16, 3)
  assert np.abs(rgb.astype(int) - 200).max() <= 3


def test_exif_rotation_is_applied():
  image = Image.fromarray(GRADIENT)
  exif = Image.Exif()
  exif[0x0112] = 6  # the camera was turned: rotate by 270 degrees to view
  encoded = encode(image, format='PNG', exif=exif)
  expected = np.rot90(GRADIENT, k=-1)
  np.testing.assert_array_equal(photos.open_photo(encoded), expected)


@pytest.mark.parametrize('orientation', range(1, 9))
def test_labels_are_turned_as_the_picture_is(orientation):
  exif = Image.Exif()
  exif[0x0112] = orientation
  encoded = encode(Image.fromarray(GRADIENT), format='PNG', exif=exif)
  frame = photos.read_frame(encoded, 'a.png')
  assert (frame.height, frame.width) == (6, 8)
  upright = photos.open_photo(encoded)
  np.testing.assert_array_equal(frame.make_upright(GRADIENT), upright)
  assert frame.upright == upright.shape[:2]
  assert (frame.turn is None) == (orientation == 1)


def test_a_frame_is_read_from_the_header_alone():
  encoded = encode(Image.fromarray(GRADIENT), format='PNG')
  assert photos.read_frame(encoded[:-20], 'a.png')[:2] == (6, 8)
  with pytest.raises(UserError, match=r'^a\.png: .*empty'):
    photos.read_frame(b'', 'a.png')


def test_transparency_is_laid_over_white():
  rgba = np.zeros((2, 2, 4), np.uint8)
  rgba[0, 0] = (255, 0, 0, 255)
  rgb = photos.open_photo(encode(Image.fromarray(rgba), format='PNG'))
  np.testing.assert_array_equal(rgb[0, 0], (255, 0, 0))
  np.testing.assert_array_equal(rgb[1, 1], (255, 255, 255))


def test_palette_with_transparency():
  image = Image.new('P', (2, 1))
  image.putpalette([10, 20, 30, 200, 100, 50])
  image.putpixel((1, 0), 1)
  encoded = encode(image, format='PNG', transparency=0)
  expected = [[(255, 255, 255), (200, 100, 50)]]
  np.testing.assert_array_equal(photos.open_photo(encoded), expected)


def test_sixteen_bits_are_scaled_not_clipped():
  gray = np.array([[0, 257 * 100, 65535]], np.uint16)
  rgb = photos.open_photo(encode(Image.fromarray(gray), format='PNG'))
  np.testing.assert_array_equal(rgb[0, :, 0], [0, 100, 255])
  np.testing.assert_array_equal(rgb[0, :, 0], rgb[0, :, 2])


@pytest.mark.parametrize('channels', [3, 4])
def test_sixteen_bits_of_color_are_rounded(channels):
  color = np.arange(8, 8 + 4 * 5 * 3).reshape(4, 5, 3) * 963
  expected = np.round(color / 257)
  opaque = np.full((4, 5, 1), 65_535)
  pixels = np.concatenate([color, opaque], axis=-1)[..., :channels]
  rgb = photos.open_photo(make_png(pixels, 16))
  np.testing.assert_array_equal(rgb, expected)
  if channels == 3:
    for order in '<>':
      encoded = make_tiff(pixels.astype(np.uint16), order=order)
      np.testing.assert_array_equal(photos.open_photo(encoded), expected)


@pytest.mark.parametrize('photometric', [0, 1])
def test_sixteen_bits_of_a_gray_tiff(photometric):
  rgb = photos.open_photo(make_tiff(GRAY_16, photometric=photometric))
  expected = np.array([0, 1, 100, 255, 255])
  if photometric == 0:  # white is 0
    expected = 255 - expected
  np.testing.assert_array_equal(rgb[0, :, 1], expected)


def test_separate_planes_of_sixteen_bits_are_not_mixed_up():
  contiguous = make_tiff(GRADIENT.astype(np.uint16))
  planar = struct.pack('<HHIHH', 284, 3, 1, 2, 0)
  at = contiguous.index(struct.pack('<HH', 339, 3))  # a tag of no use here
  separate = contiguous[:at] + planar + contiguous[at + 12 :]
  with pytest.raises(UserError, match='separate planes'):
    photos.open_photo(separate)


def test_of_several_pictures_the_first_is_taken():
  film = [Image.new('RGB', (4, 3), color) for color in ('red', 'blue')]
  for form in ('GIF', 'TIFF', 'WEBP', 'PNG'):
    encoded = encode(
      film[0], format=form, save_all=True, append_images=film[1:]
    )
    told = []
    rgb = photos.open_photo(encoded, name='x', tell=told.append).astype(int)
    assert np.abs(rgb - (255, 0, 0)).max() <= 1
    assert told == ['x']
    photos.open_photo(encode(film[0], format=form), tell=told.append)
    assert told == ['x']


def test_avif_is_read_upright():
  image = Image.fromarray(np.kron(GRADIENT, np.ones((8, 8, 1), np.uint8)))
  exif = Image.Exif()
  exif[0x0112] = 6
  encoded = encode(image, format='AVIF', quality=100, exif=exif)
  rgb = photos.open_photo(encoded).astype(int)
  assert np.abs(rgb - np.rot90(np.asarray(image), k=-1)).mean() <= 3


def test_heic_is_read_upright():
  pytest.importorskip('pillow_heif').register_heif_opener()
  image = Image.fromarray(np.kron(GRADIENT, np.ones((8, 8, 1), np.uint8)))
  exif = Image.Exif()
  exif[0x0112] = 6
  image.info['exif'] = exif.tobytes()
  encoded = encode(image, format='HEIF', quality=-1)
  rgb = photos.open_photo(encoded).astype(int)
  assert np.abs(rgb - np.rot90(np.asarray(image), k=-1)).mean() <= 3
  with pytest.raises(UserError, match='48 x 64 pixels, at most 99'):
    photos.open_photo(encoded, max_pixels=99)
  with pytest.raises(UserError, match='damaged picture'):
    photos.open_photo(encoded[:-100])


def test_heic_without_its_library_says_what_to_install(monkeypatch):
  monkeypatch.setattr(image_formats, '_has_heif', lambda: False)
  start = b'\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf'
  with pytest.raises(UserError, match=r'IMG_1\.HEIC.* pip install pillow-heif'):
    photos.open_photo(start + bytes(99), name='IMG_1.HEIC')


CUT_EXIF = b'Exif\0\0II*\0\x08\0\0\0\xff\xff'


@pytest.mark.parametrize('form', ['PNG', 'WEBP', 'JPEG'])
@pytest.mark.parametrize(
  'exif', [CUT_EXIF, b'Exif\0\0garbage', b'garbage', b'II*\0\xff']
)
def test_broken_exif_costs_no_picture(form, exif):
  options = {'lossless': True} if form == 'WEBP' else {}
  image = Image.fromarray(GRADIENT)
  whole = photos.open_photo(encode(image, format=form, **options))
  encoded = encode(image, format=form, exif=exif, **options)
  np.testing.assert_array_equal(photos.open_photo(encoded), whole)


@pytest.mark.parametrize('kind', [b'eXIf', b'iCCP', b'tEXt', b'zTXt', b'pHYs'])
def test_what_is_not_pixels_of_a_png_may_be_damaged(kind):
  encoded = encode(Image.fromarray(GRADIENT), format='PNG')
  junk = struct.pack('>I', 9) + kind + b'some junk' + b'\0\0\0\0'  # no CRC
  broken = encoded[:33] + junk + encoded[33:]
  np.testing.assert_array_equal(photos.open_photo(broken), GRADIENT)
  at = broken.index(b'IDAT') + 10
  pixels = broken[:at] + bytes([broken[at] ^ 1]) + broken[at + 1 :]
  with pytest.raises(UserError, match='damaged'):
    photos.open_photo(pixels)


def test_what_cannot_be_read_is_named(tmp_path, monkeypatch):
  path = tmp_path / 'folder.jpg'
  path.mkdir()
  with pytest.raises(UserError, match=r'folder\.jpg: a folder'):
    photos.open_photo(path)
  path = tmp_path / 'loop.jpg'
  path.symlink_to(path)
  with pytest.raises(UserError, match=r'loop\.jpg: a link to nothing'):
    photos.open_photo(path)
  path = tmp_path / 'bad_sector.jpg'
  path.write_bytes(b'1')

  def fail(path):
    raise OSError(errno.EIO, 'Input/output error')

  monkeypatch.setattr(pathlib.Path, 'read_bytes', fail)
  with pytest.raises(UserError, match=r'bad_sector\.jpg.*Input/output error'):
    photos.open_photo(path)


def test_bad_files_are_refused_by_name(tmp_path):
  good = encode(Image.fromarray(GRADIENT), format='PNG')
  cases = {
    'cut.png': (good[: len(good) - 30], 'damaged'),
    'text.jpg': (b'not a picture', 'not a JPEG, PNG or WebP'),
    'icon.ico': (encode(Image.fromarray(GRADIENT), format='ICO'), 'not a JPEG'),
    'floats.tif': (make_tiff(GRADIENT / np.float32(255)), 'kind of TIFF'),
    'meters.tif': (make_tiff(METERS, photometric=1), 'floating-point'),
    'ids.tif': (make_tiff(IDS, photometric=1), 'beyond 16 bits'),
    'empty.png': (b'', 'not a JPEG.*the file is empty'),
    'lfs.png': (
      b'version https://git-lfs.github.com/spec/v1\noid sha256:6f\nsize 9\n',
      'Git LFS pointer.*git lfs pull',
    ),
    'page.jpg': (b'\n<!DOCTYPE html><title>404', 'a web page'),
    'denied.jpg': (b'<?xml version="1.0"?><Error>', 'XML or JSON'),
    'packed.jpg': (gzip.compress(good), 'gzip: unpack'),
    'zeros.jpg': (bytes(4096), 'zeros alone'),
    'cut.tif': (
      encode(Image.fromarray(GRADIENT), format='TIFF')[:-200],
      'damaged',
    ),
  }
  for name, (encoded, reason) in cases.items():
    path = tmp_path / name
    path.write_bytes(encoded)
    with pytest.raises(UserError, match=reason) as raised:
      photos.open_photo(path)
    assert name in str(raised.value)
  with pytest.raises(UserError, match=r'gone\.png: no such file'):
    photos.open_photo(tmp_path / 'gone.png')


def test_too_large_is_refused_from_the_header():
  encoded = encode(Image.new('L', (100, 50)), format='PNG')
  # Cut behind the header: nothing but the header can have been read.
  with pytest.raises(UserError, match='100 x 50 pixels, at most 4999'):
    photos.open_photo(encoded[:60], max_pixels=4999, name='big.png')
  with pytest.raises(UserError, match='bytes'):
    photos.open_photo(encoded, max_bytes=10)
  bomb = encode(Image.new('1', (20_000, 20_000)), format='PNG')
  with pytest.raises(UserError, match='far too many pixels'):
    photos.open_photo(bomb)


def test_fit_crops_the_center_without_aliasing():
  stripes = np.zeros((40, 80, 3), np.uint8)
  stripes[:, ::2] = 255
  stripes[:, :20] = 0
  fitted = photos.fit_photo(stripes, 8, 8)
  assert fitted.shape == (8, 8, 3)
  assert np.abs(fitted[:, 1:].astype(int) - 127).max() <= 12
