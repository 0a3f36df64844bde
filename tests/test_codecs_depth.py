"""Depth codec against closed forms, its own inverse and hilbertmap."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vbanana_jax.codecs import depth

GOLDEN = np.load(Path(__file__).parent / 'oracles' / 'hilbert.npz')
encode = jax.jit(depth.encode)
decode = jax.jit(depth.decode)
residual = jax.jit(depth.residual)


def position(depth_m):
  """Position on the curve in [0, 1], in float64."""
  return 1 - (1 + np.asarray(depth_m, np.float64) / 10) ** -2.0


def test_corners_have_their_colours():
  corners = 10 * ((1 - np.arange(7) / 7) ** -0.5 - 1)
  colours = encode(jnp.asarray([*corners, jnp.inf]))
  np.testing.assert_allclose(colours, depth.CORNERS, atol=1e-6)


def test_cycle_on_a_range_of_depths():
  depth_m = np.geomspace(1e-3, 80, 2000).astype(np.float32)
  back = decode(encode(depth_m))
  np.testing.assert_allclose(back, depth_m, rtol=1e-6)
  assert np.all(np.diff(back) > 0)


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


def test_decode_equals_hilbertmap_on_8_bit_colours():
  back = np.asarray(decode(GOLDEN['rgb8'] / np.float32(255)))
  want = GOLDEN['back_from_rgb8']
  np.testing.assert_allclose(back, want, rtol=2e-6)


def test_decode_equals_hilbertmap_off_the_path():
  got = position(decode(GOLDEN['off_rgb']))
  clear = GOLDEN['off_margin'] > 1e-5
  assert clear.sum() > 2000
  np.testing.assert_allclose(got[clear], GOLDEN['off_f'][clear], atol=2e-6)


def test_ties_go_to_the_edge_nearer_to_black():
  got = position(decode(GOLDEN['tie_rgb'].astype(np.float32)))
  np.testing.assert_allclose(got, GOLDEN['tie_f'], atol=2e-6)
  # All seven edges are equally far from mid-grey.
  assert decode(jnp.full((3,), 0.5)) < 0.81


def test_grid_of_8_bit_colours_is_projected_on_a_nearest_edge():
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
  colours = encode(jnp.asarray([-30.0, -0.0, jnp.nan, jnp.inf]))
  np.testing.assert_array_equal(colours, [[0] * 3, [0] * 3, [0] * 3, [1] * 3])
  rgb = jnp.asarray([[0, 0, 0], [-1, 0, 0], [1, 1, 1], [2, 2, 2.0]])
  back = np.asarray(decode(rgb))
  np.testing.assert_array_equal(back, [0, 0, np.inf, np.inf])
  assert not np.signbit(back).any()
  assert np.isnan(decode(jnp.asarray([jnp.nan, 0, 0])))


def test_residual_is_the_distance_from_the_path():
  on_path = encode(jnp.geomspace(0.1, 50, 32))
  np.testing.assert_allclose(residual(on_path), 0, atol=1e-6)
  off = jnp.asarray([[0.5, 0.5, 0.5], [0.5, 0.1, 0.0], [1.3, 0.0, 0.4]])
  want = [0.5**0.5, 0.1, 0.5]
  np.testing.assert_allclose(residual(off), want, atol=1e-6)


def test_gradients_are_finite_and_right():
  depth_m = jnp.asarray([0.0, 0.5, 5.0, 70.0, jnp.inf, jnp.nan, -1.0])
  slope = jax.jit(jax.vmap(jax.jacfwd(depth.encode)))(depth_m)
  assert np.isfinite(slope).all()
  rgb = jnp.asarray([[0.5, 0, 0], [0, 0, 0], [0.5, 0.5, 0.5], [1, 1, 1.0]])
  slope = jax.jit(jax.vmap(jax.grad(depth.decode)))(rgb)
  assert np.isfinite(slope).all()
  # d = 10 ((1 - r / 7)^(-1/2) - 1) on the first edge.
  want = 5 / 7 * (1 - 0.5 / 7) ** -1.5
  np.testing.assert_allclose(slope[0], [want, 0, 0], rtol=1e-5)
  slope = jax.jit(jax.vmap(jax.grad(depth.residual)))(rgb)
  assert np.isfinite(slope).all()
