"""Borders that mix two colors of a legend are told from areas of a third."""

from pathlib import Path

import jax
import numpy as np
import pytest

from vbanana_jax.codecs import palettes, rims

# Between black and white lies gray; between red and blue, purple.
COLORS = ('black', 'white', 'grey', 'red', 'blue', 'purple')
LEGEND = palettes.to_rgb(palettes.NAMED[name] for name in COLORS)
SIDE = 96


@jax.jit
def read(rgb):
  labels, distance = palettes.decode_nearest(rgb, LEGEND)
  return labels, rims.find_rims(rgb, labels, distance)


@pytest.fixture(scope='module')
def paintings():
  with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(Path(__file__).parents[1]))
    from perf import paintings
  return paintings


def draw_disc(one, other, scale=4):
  """Labels [SIDE SIDE] of a disc, and its picture drawn smooth."""
  y, x = np.mgrid[: SIDE * scale, : SIDE * scale] / scale - SIDE / 2
  big = np.where(np.hypot(y, x) < SIDE / 3, one, other)
  blocks = LEGEND[big].reshape(SIDE, scale, SIDE, scale, 3)
  return big[2::scale, 2::scale], np.float32(blocks.mean((1, 3)))


@pytest.mark.parametrize('one, other', [(0, 1), (3, 4), (0, 3), (2, 4)])
def test_smooth_borders_are_rims_where_they_read_as_a_third(one, other):
  truth, rgb = draw_disc(one, other)
  rgb = np.rint(255 * rgb).astype(np.float32) / 255
  labels, found = map(np.asarray, read(rgb))
  third = (labels != one) & (labels != other)
  assert not (found & ~third).any()
  exact = (rgb[:, :, None] == LEGEND).all(-1).any(-1)
  missed = third & ~found & ~exact
  assert missed.sum() <= 0.15 * third.sum()
  if (one, other) == (0, 1):
    assert third.sum() > 60  # all around the disc
  labels, found = map(np.asarray, read(LEGEND[truth]))
  assert (labels == truth).all() and not found.any()


@pytest.mark.parametrize('blur', [0.8, 1.0, 1.5])
def test_blurred_borders_are_rims(blur, paintings):
  truth, _ = draw_disc(0, 1)
  rgb = paintings.blur(LEGEND[truth], blur)
  labels, found = map(np.asarray, read(rgb))
  third = labels > 1
  assert third.sum() > 200 and found.sum() >= 0.8 * third.sum()
  # What is missed is gray itself, and cannot be told.
  missed = rgb[third & ~found]
  assert (np.linalg.norm(missed - LEGEND[2], axis=-1) < 16.1 / 255).all()
  assert not (found & ~third).any()


@pytest.mark.parametrize('width', [1, 2, 3, 5])
def test_lines_of_the_third_color_are_none(width):
  rgb = np.full((SIDE, SIDE, 3), LEGEND[0])
  rgb[:, SIDE // 2 :] = LEGEND[1]
  line = slice(SIDE // 2, SIDE // 2 + width)
  rgb[:, line] = LEGEND[2]
  noise = np.random.default_rng(0).normal(0, 4 / 255, rgb.shape)
  for picture in (rgb, np.float32(rgb + noise)):
    labels, found = map(np.asarray, read(picture))
    assert (labels[:, line] == 2).all() and not found.any()


def test_noise_makes_no_rims(paintings):
  rng = np.random.default_rng(0)
  truth = paintings.make_labels(rng, SIDE, len(LEGEND))
  _, found = read(paintings.add_gaussian(LEGEND[truth], rng, 8))
  assert not np.asarray(found).any()


def test_batches_and_small_pictures_are_read_alike():
  _, rgb = draw_disc(0, 1)
  tiles = rgb.reshape(2, SIDE // 2, SIDE, 3)
  together = jax.vmap(read)(tiles)[1]
  for tile, found in zip(tiles, together):
    np.testing.assert_array_equal(found, read(tile)[1])
  for shape in ((1, 1, 3), (1, 7, 3), (2, 2, 3)):
    assert not np.asarray(read(np.zeros(shape, np.float32))[1]).any()
  assert not np.asarray(read(np.full((4, 4, 3), np.nan, np.float32))[1]).any()


def test_the_confidence_of_rims_is_how_often_they_are_right(monkeypatch):
  monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
  from perf import confidence

  found = confidence.measure_rims(12345, 40, SIDE)
  assert 0.01 < found['share'] < 0.08
  assert abs(found['right'] - rims.CONFIDENCE) < 0.03
