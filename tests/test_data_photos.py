"""Photographs of every kind are opened upright, and bad ones are refused."""

import io

import numpy as np
import pytest
from PIL import Image

from vbanana_jax.data import photos
from vbanana_jax.errors import UserError

GRADIENT = np.zeros((6, 8, 3), np.uint8)
GRADIENT[..., 0] = np.arange(8) * 30
GRADIENT[..., 1] = np.arange(6)[:, None] * 40


def encode(image, **options):
  file = io.BytesIO()
  image.save(file, **options)
  return file.getvalue()


@pytest.mark.parametrize('form', ['PNG', 'WEBP'])
def test_lossless_pictures_come_back_exactly(form):
  encoded = encode(Image.fromarray(GRADIENT), format=form, lossless=True)
  np.testing.assert_array_equal(photos.open_photo(encoded), GRADIENT)


@pytest.mark.parametrize('mode', ['RGB', 'CMYK', 'L'])
def test_jpeg_modes_keep_their_colour(mode):
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
  grey = np.array([[0, 257 * 100, 65535]], np.uint16)
  rgb = photos.open_photo(encode(Image.fromarray(grey), format='PNG'))
  np.testing.assert_array_equal(rgb[0, :, 0], [0, 100, 255])
  np.testing.assert_array_equal(rgb[0, :, 0], rgb[0, :, 2])


def test_bad_files_are_refused_by_name(tmp_path):
  good = encode(Image.fromarray(GRADIENT), format='PNG')
  cases = {
    'cut.png': (good[: len(good) - 30], 'damaged'),
    'text.jpg': (b'not a picture', 'not a JPEG, PNG or WebP'),
    'film.gif': (encode(Image.fromarray(GRADIENT), format='GIF'), 'not a JPEG'),
    'empty.png': (b'', 'not a JPEG'),
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


def test_fit_crops_the_centre_without_aliasing():
  stripes = np.zeros((40, 80, 3), np.uint8)
  stripes[:, ::2] = 255
  stripes[:, :20] = 0
  fitted = photos.fit_photo(stripes, 8, 8)
  assert fitted.shape == (8, 8, 3)
  assert np.abs(fitted[:, 1:].astype(int) - 127).max() <= 12
