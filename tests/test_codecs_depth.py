"""Depth codec against closed forms, its own inverse and hilbertmap."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from forms import assert_same_in_all_forms

from vbanana_jax.codecs import depth

GOLDEN = np.load(Path(__file__).parent / 'oracles' / 'hilbert.npz')
encode = jax.jit(depth.encode)
decode = jax.jit(depth.decode)
residual = jax.jit(depth.residual)
confidence = jax.jit(depth.confidence)
CORNERS = np.asarray(depth.CORNERS, np.float64)


def position(depth_m):
  """Position on the curve in [0, 1], in float64."""
  return 1 - (1 + np.asarray(depth_m, np.float64) / 10) ** -2.0


def project(rgb):
  """Straightforward projection in float64.

  Returns the position on the curve, the distance from it, and by how much
  the next best edge is farther in squared distance.
  """
  rgb = np.asarray(rgb, np.float64)
  positions, squared = [], []
  for k in range(7):
    start, step = CORNERS[k], CORNERS[k + 1] - CORNERS[k]
    along = np.clip((rgb - start) @ step, 0, 1)
    squared.append(np.square(rgb - start - along[..., None] * step).sum(-1))
    positions.append((k + along) / 7)
  squared, positions = np.stack(squared, -1), np.stack(positions, -1)
  best = squared.argmin(-1)[..., None]
  position = np.take_along_axis(positions, best, -1)[..., 0]
  # An edge that gives the same place (a shared corner) is no rival.
  rival = np.abs(positions - position[..., None]) > 1e-9
  nearest = np.take_along_axis(squared, best, -1)
  margin = np.where(rival, squared - nearest, np.inf).min(-1)
  return position, np.sqrt(nearest[..., 0]), margin


def test_corners_have_their_colors():
  corners = 10 * ((1 - np.arange(7) / 7) ** -0.5 - 1)
  colors = encode(jnp.asarray([*corners, jnp.inf]))
  np.testing.assert_allclose(colors, depth.CORNERS, atol=1e-6)


def test_cycle_on_a_range_of_depths():
  depth_m = np.geomspace(1e-3, 80, 2000).astype(np.float32)
  back = decode(encode(depth_m))
  np.testing.assert_allclose(back, depth_m, rtol=1e-6)
  assert np.all(np.diff(back) > 0)


def test_float32_is_enough_from_a_tenth_of_a_millimeter_to_ten_kilometers():
  # As many as the golden grid of 8-bit colors, to share its compilation.
  depth_m = np.geomspace(1e-4, 1e4, 5832).astype(np.float32)
  exact_m = depth_m.astype(np.float64)
  stretch = 1 + exact_m / 10
  rgb = np.asarray(encode(depth_m))
  back = np.asarray(decode(rgb), np.float64)
  # The decoder alone: these very colors, read in float64 from the nearer end.
  edge = np.minimum((7 * position(exact_m)).astype(int), 6)
  start, step = CORNERS[edge], CORNERS[edge + 1] - CORNERS[edge]
  along = ((rgb - start) * step).sum(-1)
  near = 10 * np.expm1(-0.5 * np.log1p(-(edge + along) / 7))
  far = 10 * ((((6 - edge) + (1 - along)) / 7) ** -0.5 - 1)
  np.testing.assert_allclose(back, np.where(edge < 3, near, far), rtol=1e-6)
  # Both together: beyond 16 m the last bit of a float32 color below 1, 2^-24,
  # is the limit; half of it changes the depth by this share.
  bit = 2.0**-25 * 10 * stretch**3 / (14 * exact_m)
  limit = 1e-6 + np.where(exact_m > 16, bit, 0)
  assert np.all(np.abs(back / exact_m - 1) <= limit)
  assert limit.max() < 0.003


@pytest.mark.parametrize('lam, c', [(-2.0, 1.0), (-4.0, 120.0)])
def test_cycle_with_other_curves(lam, c):
  depth_m = np.geomspace(1e-2, 80, 64).astype(np.float32)

  @jax.jit
  def cycle(depth_m):
    return depth.decode(depth.encode(depth_m, lam=lam, c=c), lam=lam, c=c)

  back = cycle(depth_m)
  np.testing.assert_allclose(back, depth_m, rtol=2e-5)


def test_encode_equals_hilbertmap():
  rgb = encode(GOLDEN['depth'].astype(np.float32))
  np.testing.assert_allclose(rgb, GOLDEN['rgb'], atol=2e-6)


def test_decode_equals_hilbertmap_on_8_bit_colors():
  back = np.asarray(decode(GOLDEN['rgb8'] / np.float32(255)))
  want = GOLDEN['back_from_rgb8']
  np.testing.assert_allclose(back, want, rtol=2e-6)


def test_decode_equals_hilbertmap_off_the_path():
  got = position(decode(GOLDEN['off_rgb']))
  clear = GOLDEN['off_margin'] > 1e-5
  assert clear.sum() > 2000
  np.testing.assert_allclose(got[clear], GOLDEN['off_f'][clear], atol=2e-6)


@pytest.mark.parametrize('low, high', [(0, 1), (-1.5, 2.5)])
def test_any_color_is_projected_as_in_float64(low, high):
  rng = np.random.default_rng(0)
  rgb = rng.uniform(low, high, (5832, 3)).astype(np.float32)
  want, distance, margin = project(rgb)
  clear = margin > 1e-5
  assert clear.sum() > 5000
  got = position(decode(rgb))
  np.testing.assert_allclose(got[clear], want[clear], atol=2e-6)
  np.testing.assert_allclose(residual(rgb), distance, rtol=1e-5, atol=1e-6)


def test_a_far_channel_does_not_drown_the_others():
  rgb = np.zeros((5832, 3), np.float32)
  rgb[:3] = [[3000, 0.3, 0], [-3e4, 0.25, 0.9], [2, -5e5, 0.6]]
  # Along red-yellow, cyan-blue, and at magenta.
  want = [(1 + 0.3) / 7, (4 + 0.75) / 7, 6 / 7]
  np.testing.assert_allclose(project(rgb[:3])[0], want, atol=1e-7)
  got = position(np.asarray(decode(rgb))[:3])
  np.testing.assert_allclose(got, want, atol=2e-6)


def test_goldens_hold_in_every_form():
  rgb = np.concatenate(
    [GOLDEN['off_rgb'], GOLDEN['grid_rgb8'] / np.float32(255)]
  ).reshape(2, -1, 3)
  depth_m = GOLDEN['depth'].astype(np.float32).reshape(2, -1)

  def states(rgb, depth_m, valid):
    found = {
      'decoded': depth.decode(rgb)[..., None],
      'residual': depth.residual(rgb)[..., None],
      'confidence': depth.confidence(rgb)[..., None],
      'painted': depth.encode(depth_m),
    }
    valid = valid[:, None, None]
    return {key: jnp.where(valid, x, 0.0) for key, x in found.items()}

  sums = assert_same_in_all_forms(states, (rgb, depth_m), rtol=2e-6)
  want = GOLDEN['rgb'].reshape(2, -1, 3).sum(0)
  np.testing.assert_allclose(sums['painted'], want, atol=4e-6)


def test_a_million_depths_and_colors_as_hilbertmap():
  hilbertmap = pytest.importorskip(
    'hilbertmap', reason='the [test] extra brings hilbertmap, the oracle'
  )
  rng = np.random.default_rng(0)
  depth_m = np.exp(rng.uniform(np.log(1e-3), np.log(500), 1_000_000))
  depth_m = depth_m.astype(np.float32)
  rgb = encode(depth_m)
  want = hilbertmap.depth_to_rgb(depth_m.astype(np.float64))
  np.testing.assert_allclose(rgb, want, atol=2e-6)
  want = hilbertmap.rgb_to_depth(np.asarray(rgb, np.float64))
  np.testing.assert_allclose(decode(rgb), want, rtol=1e-5)
  rgb = rng.uniform(-0.2, 1.2, (1_000_000, 3)).astype(np.float32)
  clear = project(rgb)[2] > 1e-5
  assert clear.mean() > 0.99
  got, want = position(decode(rgb)), hilbertmap.project(rgb.astype(np.float64))
  np.testing.assert_allclose(got[clear], want[clear], atol=2e-6)


def test_ties_go_to_the_edge_nearer_to_black():
  got = position(decode(GOLDEN['tie_rgb'].astype(np.float32)))
  np.testing.assert_allclose(got, GOLDEN['tie_f'], atol=2e-6)
  # All seven edges are equally far from mid-gray.
  assert decode(jnp.full((3,), 0.5)) < 0.81


def test_grid_of_8_bit_colors_is_projected_on_a_nearest_edge():
  rgb = GOLDEN['grid_rgb8'] / np.float32(255)
  got = position(decode(rgb))
  wrong = np.abs(got - GOLDEN['grid_f']) > 2e-6
  # The rest are exact ties, which float64 broke by its rounding.
  assert np.all(got[wrong] < GOLDEN['grid_f'][wrong])
  assert wrong.mean() < 0.01
  at_golden = encode(10 * ((1 - GOLDEN['grid_f'][wrong]) ** -0.5 - 1))
  gap = np.linalg.norm(np.asarray(at_golden) - rgb[wrong], axis=-1)
  np.testing.assert_allclose(residual(rgb)[wrong], gap, atol=1e-5)


def test_odd_inputs_follow_the_stated_rules():
  colors = encode(jnp.asarray([-30.0, -0.0, jnp.nan, jnp.inf]))
  np.testing.assert_array_equal(colors, [[0] * 3, [0] * 3, [0] * 3, [1] * 3])
  rgb = jnp.asarray([[0, 0, 0], [-1, 0, 0], [1, 1, 1], [2, 2, 2.0]])
  back = np.asarray(decode(rgb))
  np.testing.assert_array_equal(back, [0, 0, np.inf, np.inf])
  assert not np.signbit(back).any()
  assert not np.signbit(decode(jnp.full((4, 3), -0.0))).any()
  rgb = [[np.nan, 0, 0], [0, np.inf, 0], [0, 0, -np.inf], [1, 1e20, 1]]
  rgb = jnp.asarray(rgb)
  assert np.isnan(decode(rgb)).all()
  assert np.isinf(residual(rgb)).all()
  np.testing.assert_array_equal(confidence(rgb), 0)


def test_residual_is_the_distance_from_the_path():
  on_path = encode(jnp.geomspace(0.1, 50, 32))
  np.testing.assert_allclose(residual(on_path), 0, atol=1e-6)
  off = jnp.asarray([[0.5, 0.5, 0.5], [0.5, 0.1, 0.0], [1.3, 0.0, 0.4]])
  want = [0.5**0.5, 0.1, 0.5]
  np.testing.assert_allclose(residual(off), want, atol=1e-6)


def test_gradients_are_finite_and_right():
  corners = [0.8012345, 1.8321596, 3.2287566, 5.2752523, 8.7082869, 16.4575]
  odd = [0.0, 0.5, 5.0, 70.0, 1e35, -1.0, -0.0, jnp.inf, jnp.nan]
  slope = jax.jit(jax.vmap(jax.jacfwd(depth.encode)))
  assert np.isfinite(slope(jnp.asarray(corners + odd))).all()
  rgb = jnp.asarray(
    [
      [0.5, 0, 0],
      [0.5, 0.5, 0.5],
      [2, -1, 0.3],
      [jnp.nan, 0, 0],
      [0, jnp.inf, 1],
      [1e20, 0, 0],
      *depth.CORNERS,
    ]
  )
  slopes = {
    f.__name__: jax.jit(jax.vmap(jax.grad(f)))(rgb)
    for f in (depth.decode, depth.residual, depth.confidence)
  }
  assert all(np.isfinite(slope).all() for slope in slopes.values())
  # d = 10 ((1 - r / 7)^(-1/2) - 1) on the first edge.
  want = 5 / 7 * (1 - 0.5 / 7) ** -1.5
  np.testing.assert_allclose(slopes['decode'][0], [want, 0, 0], rtol=1e-5)
  # At red, from the first edge: not half of it, as of a clipped channel.
  want = 5 / 7 * (1 - 1 / 7) ** -1.5
  np.testing.assert_allclose(slopes['decode'][7], [want, 0, 0], rtol=1e-5)


def test_confidence_falls_away_from_the_walk_and_at_its_ends():
  place = encode(jnp.asarray([0.0, 0.01, 0.5, 4.0, 80.0, 1e4, jnp.inf]))
  near_black, good, best, far, farther = np.asarray(confidence(place))[1:6]
  assert near_black < 0.1 and farther < 0.1 and far < good < best
  np.testing.assert_array_equal(confidence(place)[jnp.asarray([0, 6])], 0)
  gray = jnp.linspace(0, 1, 21)[:, None] * 0.5 + jnp.asarray([0, 0.5, 0]) * (
    1 - jnp.linspace(0, 1, 21)[:, None]
  )
  assert confidence(gray)[-1] < 0.6
  # Off the green-cyan edge: the same depth, less and less sure.
  drift = jnp.stack(
    [jnp.linspace(0, 0.45, 21), jnp.ones(21), jnp.full(21, 0.5)]
  )
  assert np.all(np.diff(confidence(drift.T)) < 0)


def test_confidence_is_calibrated_on_fresh_noise(monkeypatch):
  monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
  from perf import confidence as measure

  _, right, said = measure.collect('depth', 12345, 60, 96)
  assert 0.85 < right.mean() < 0.97
  found = measure.calibration(said, right)
  assert found['expected_calibration_error'] < 0.03
  for mean_said, mean_right, share in found['bins']:
    if share > 0.01:
      assert abs(mean_said - mean_right) < 0.15
  # It tells right from wrong: the doubted half of wrong pixels costs little.
  doubted = said < np.median(said[~right])
  assert doubted.mean() < 0.12
