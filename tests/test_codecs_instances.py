"""Both instance decoders on what generators paint; canonical colors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vbanana_jax.codecs import flood, instances, palettes

SIDE = 96
BACKGROUND = np.asarray((88, 50, 82), np.float32)
COLORS = np.asarray(
  [(222, 40, 30), (30, 90, 220), (250, 240, 120), (11, 21, 7)], np.float32
)


def compile_decoder(decode, options):
  return jax.jit(
    lambda rgb, ground: decode(rgb, ground, options(max_instances=4))
  )


DECODERS = {
  'paper': compile_decoder(flood.decode_flood, flood.FloodOptions),
  'ours': compile_decoder(instances.decode_regions, instances.RegionOptions),
}
both = pytest.mark.parametrize('decode', DECODERS.values(), ids=DECODERS)
ours = DECODERS['ours']


def draw_discs(centers, radius=17):
  """Ids 1.. of discs at 4 times the size, later ones over earlier ones."""
  y, x = np.mgrid[: 4 * SIDE, : 4 * SIDE] / 4 + 0.125
  ids = np.zeros(y.shape, np.int32)
  for k, (row, column) in enumerate(centers):
    ids[(y - row) ** 2 + (x - column) ** 2 < radius**2] = k + 1
  return ids


def paint(ids, colors=COLORS, ground=BACKGROUND):
  """Anti-aliased levels [SIDE SIDE 3] of ids at 4 times the size."""
  levels = np.concatenate([ground[None], colors])[ids]
  return levels.reshape(SIDE, 4, SIDE, 4, 3).mean((1, 3))


def read(decode, levels, ground=BACKGROUND):
  rgb = (np.round(np.clip(levels, 0, 255)) / 255).astype(np.float32)
  return decode(rgb, ground / 255)


def overlaps(got, ids):
  """IoU of each painted instance with the decoded one that is best."""
  truth, found = ids[2::4, 2::4], np.asarray(got.ids)
  found = [found == k for k in range(1, int(got.count) + 1)]
  truth = [truth == k for k in range(1, ids.max() + 1)]
  return [max((t & f).sum() / (t | f).sum() for f in found) for t in truth]


APART = draw_discs([(22, 22), (22, 72), (72, 22), (72, 72)])
TOUCHING = draw_discs([(30, 32), (30, 60), (58, 32), (58, 60)])


@both
@pytest.mark.parametrize('ids', [APART, TOUCHING], ids=['apart', 'touching'])
def test_clean_discs(decode, ids):
  got = read(decode, paint(ids))
  assert got.count == 4 and not got.overflow and got.converged
  assert min(overlaps(got, ids)) > 0.9
  area = np.bincount(np.asarray(got.ids).ravel(), minlength=5)[1:]
  np.testing.assert_array_equal(got.area_px, area)
  assert np.all(np.diff(area) <= 0)
  for k in range(4):
    rows, columns = np.nonzero(np.asarray(got.ids) == k + 1)
    box = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
    np.testing.assert_array_equal(got.box_px[k], box)
    gaps = np.linalg.norm(255 * got.color[k] - COLORS, axis=-1)
    assert gaps.min() < 12


@both
def test_every_color_drifts_by_seven_levels(decode):
  rng = np.random.default_rng(0)
  for _ in range(4):
    drift = rng.choice([-7.0, 7.0], (5, 3)).astype(np.float32)
    got = read(decode, paint(APART, COLORS + drift[:4], BACKGROUND + drift[4]))
    assert got.count == 4 and min(overlaps(got, APART)) > 0.9


@both
def test_halos_are_no_instances(decode):
  clean = paint(APART)
  ring = sum(np.roll(clean, k, axis) for k in (-2, 2) for axis in (0, 1)) / 4
  got = read(decode, clean + 0.6 * (clean - ring))  # overshoots at borders
  assert got.count == 4 and min(overlaps(got, APART)) > 0.7


@both
def test_occluded_halves_are_one_instance(decode):
  ids = APART.copy()
  ids[80:104] = 0
  got = read(decode, paint(ids))
  assert got.count == 4 and min(overlaps(got, ids)) > 0.9


@both
def test_a_near_black_instance_on_black(decode):
  black = np.zeros(3, np.float32)
  got = read(decode, paint(APART, ground=black), black)
  assert got.count == 4 and min(overlaps(got, APART)) > 0.9
  got = read(decode, paint(APART, COLORS[[3, 3, 3, 3]] / 2, black), black)
  assert got.count == 0 and not np.any(got.ids)  # nearer than tau


def test_a_gradient_is_one_instance_only_to_ours():
  slope = np.linspace(-35, 35, SIDE)[:, None, None]
  levels = paint(TOUCHING)
  levels = np.where(TOUCHING[2::4, 2::4, None] > 0, levels + slope, levels)
  got = read(ours, levels)
  assert got.count == 4 and min(overlaps(got, TOUCHING)) > 0.85
  assert read(DECODERS['paper'], levels).overflow


@pytest.mark.parametrize('scale', [4, 8])
def test_noise(scale):
  noise = np.random.default_rng(0).normal(0, scale, (SIDE, SIDE, 3))
  got = read(ours, paint(TOUCHING) + noise)
  assert got.count == 4 and min(overlaps(got, TOUCHING)) > 0.9


def test_blur():
  levels = paint(TOUCHING)
  for _ in range(2):
    for axis in (0, 1):
      levels = sum(np.roll(levels, k, axis) for k in (-1, 0, 1)) / 3
  got = read(ours, levels)
  assert got.count == 4 and min(overlaps(got, TOUCHING)) > 0.85


@both
def test_more_than_the_bound_set_the_flag_and_the_largest_stay(decode):
  ids = draw_discs([(y, x) for y in (16, 48, 80) for x in (16, 80)], 11)
  colors = np.asarray(palettes.farthest_point_palette(6), np.float32)
  got = read(decode, paint(ids, colors))
  assert got.count == 4 and got.overflow


@both
def test_one_color_is_one_instance_and_background_is_none(decode):
  flat = np.ones((SIDE, SIDE, 3))
  got = read(decode, 255 * flat)
  assert got.count == 1 and np.all(np.asarray(got.ids) == 1)
  got = read(decode, BACKGROUND * flat)
  assert got.count == 0 and not np.any(got.ids)
  assert not np.any(got.area_px) and not np.any(got.color)


@both
def test_nan_is_background(decode):
  levels = paint(APART)
  levels[20:24, 20:24] = np.nan
  got = read(decode, levels)
  assert got.count == 4 and not np.isnan(got.confidence).any()
  assert np.bincount(np.asarray(got.ids)[20:24, 20:24].ravel()).argmax() == 0


@both
def test_confidence_is_least_where_colors_blend(decode):
  got = read(decode, paint(TOUCHING))
  confidence = np.asarray(got.confidence)
  assert confidence.min() >= 0 and confidence.max() <= 1
  truth = TOUCHING.reshape(SIDE, 4, SIDE, 4).transpose(0, 2, 1, 3)
  pure = np.ptp(truth.reshape(SIDE, SIDE, 16), -1) == 0
  assert confidence[pure].mean() > 0.95 > 0.8 > confidence[~pure].mean()


def test_canonical_colors_are_far_from_each_other_and_from_backgrounds():
  names = list(palettes.BACKGROUNDS)
  colors = [*instances.CANONICAL, *(palettes.NAMED[name] for name in names)]
  assert len(instances.CANONICAL) >= 12
  gaps = np.asarray(colors, float)[:, None] - np.asarray(colors, float)
  gaps = np.linalg.norm(gaps, axis=-1) + 1e3 * np.eye(len(colors))
  assert gaps.min() >= 127


def test_canonical_palette_starts_with_the_background():
  palette = instances.canonical_palette(jnp.asarray([0.4, 0.4, 0.4]))
  np.testing.assert_allclose(palette[0], 0.4)
  got, _ = palettes.decode_nearest(
    palettes.to_rgb(instances.CANONICAL), palette
  )
  np.testing.assert_array_equal(got, np.arange(1, 13))
