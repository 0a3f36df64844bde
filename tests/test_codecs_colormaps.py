"""Alternate depth maps: tables, cycles, and projection against numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from forms import assert_same_in_all_forms

from vbanana_jax.codecs import colormaps

NAMES = tuple(colormaps.TABLES)
NEAR_M, FAR_M = 0.5, 12.5
encode = jax.jit(colormaps.encode, static_argnames='name')
decode = jax.jit(colormaps.decode, static_argnames='name')
residual = jax.jit(colormaps.residual, static_argnames='name')


def project(rgb, table):
  """Straightforward projection in float64: place in [0, 1], and distance."""
  rgb, table = np.asarray(rgb, np.float64), np.asarray(table, np.float64)
  start, step = table[:-1], np.diff(table, axis=0)
  length = np.square(step).sum(-1)
  offset = rgb[:, None] - start
  along = (offset * step).sum(-1) / np.maximum(length, 1e-12)
  along = np.clip(along, 0, 1)
  gap = np.linalg.norm(offset - along[..., None] * step, axis=-1)
  best = gap.argmin(-1)
  rows = np.arange(len(rgb))
  return (best + along[rows, best]) / len(step), gap.min(-1)


def at(place, table):
  """Color of a place on the curve, in float64."""
  corners = np.linspace(0, 1, len(table))
  return np.stack([np.interp(place, corners, x) for x in table.T], -1)


@pytest.mark.parametrize('name', NAMES)
def test_tables_are_those_of_matplotlib(name):
  matplotlib = pytest.importorskip(
    'matplotlib', reason='compared where matplotlib is installed'
  )
  grid = np.linspace(0, 1, 256)
  if name == 'grayscale':
    np.testing.assert_array_equal(colormaps.TABLES[name], [[0] * 3, [1] * 3])
    want, got = grid[:, None].repeat(3, 1), at(grid, colormaps.TABLES[name])
    np.testing.assert_allclose(got, want, atol=1e-7)
    return
  want = np.asarray([matplotlib.colormaps[name](k)[:3] for k in range(256)])
  got = np.round(colormaps.TABLES[name] * 255)
  np.testing.assert_array_equal(got, np.round(want * 255))


@pytest.mark.parametrize('name', NAMES)
def test_cycle_and_ends(name):
  depth_m = np.linspace(NEAR_M, FAR_M, 1024).astype(np.float32)
  rgb = encode(depth_m, name, NEAR_M, FAR_M)
  corners = colormaps.TABLES[name]
  np.testing.assert_allclose(rgb[jnp.asarray([0, -1])], corners[[0, -1]])
  back = decode(rgb, name, NEAR_M, FAR_M)
  # Viridis has two pairs of equal neighbors: half a segment is lost there.
  loss = (FAR_M - NEAR_M) / 255 * (1.01 if name == 'viridis' else 0.001)
  np.testing.assert_allclose(back, depth_m, atol=loss)
  assert back.min() >= NEAR_M and back.max() <= FAR_M
  np.testing.assert_allclose(residual(rgb, name), 0, atol=2e-4)
  if name == 'viridis':
    assert np.mean(np.abs(back - depth_m) > 1e-4) < 0.03
  # A range the other way round turns the map around.
  back = decode(rgb, name, FAR_M, NEAR_M)
  np.testing.assert_allclose(back, FAR_M + NEAR_M - depth_m, atol=loss)


@pytest.mark.parametrize('name', NAMES)
def test_any_color_is_projected_as_in_float64(name):
  rng = np.random.default_rng(0)
  rgb = rng.uniform(-0.3, 1.3, (1024, 3)).astype(np.float32)
  table = colormaps.TABLES[name]
  place, distance = project(rgb, table)
  np.testing.assert_allclose(residual(rgb, name), distance, atol=1e-6)
  got = (np.asarray(decode(rgb, name, NEAR_M, FAR_M)) - NEAR_M) / 12
  # Where two places are equally near, either is right.
  own = np.linalg.norm(rgb - at(got, table), axis=-1)
  np.testing.assert_allclose(own, distance, atol=2e-6)
  assert np.mean(np.abs(got - place) < 1e-3) > 0.98


def test_odd_inputs_follow_the_stated_rules():
  odd = jnp.asarray([-3.0, -0.0, jnp.nan, jnp.inf, -jnp.inf, 1e30])
  rgb = encode(odd, 'plasma', 1, 2.0)
  dark, bright = colormaps.TABLES['plasma'][[0, -1]]
  want = [dark, dark, dark, bright, dark, bright]
  np.testing.assert_allclose(rgb, want, atol=1e-6)
  rgb = jnp.asarray([[jnp.nan, 0, 0], [0, jnp.inf, 0], [0, 0, 1e20]])
  assert np.isnan(decode(rgb, 'grayscale', 0.0, 1.0)).all()
  assert np.isinf(residual(rgb, 'grayscale')).all()
  far_out = jnp.asarray([[9.0, 9, 9], [-9, -9, -9]])
  ends = decode(far_out, 'grayscale', 3.0, 5.0)
  np.testing.assert_array_equal(ends, [5, 3])
  # A range of one depth is that depth.
  same = encode(jnp.asarray([7.0, jnp.inf]), 'grayscale', 4, 4)
  np.testing.assert_array_equal(decode(same, 'grayscale', 4, 4), [4, 4])
  with pytest.raises(KeyError):
    encode(odd, 'jet', 1.0, 2.0)


def test_gradients_are_finite_and_right():
  depth_m = jnp.asarray([0.5, 1.0, 12.5, -1.0, jnp.inf, jnp.nan])
  slope = jax.vmap(jax.jacfwd(lambda d: encode(d, 'inferno', NEAR_M, FAR_M)))
  assert np.isfinite(slope(depth_m)).all()
  rgb = [[0.2, 0.2, 0.2], [0.0, 0, 0], [1, 1, 1], [jnp.nan, 0, 0], [9, -9, 0]]
  rgb = jnp.asarray(rgb)
  for name in ('viridis', 'grayscale'):
    slope = jax.vmap(jax.grad(lambda x, n=name: decode(x, n, NEAR_M, FAR_M)))
    depth_slope = slope(rgb)
    assert np.isfinite(depth_slope).all()
    slope = jax.vmap(jax.grad(lambda x, n=name: residual(x, n)))
    assert np.isfinite(slope(rgb)).all()
  np.testing.assert_allclose(depth_slope[0], [4, 4, 4], rtol=1e-5)


def test_same_in_every_form():
  rng = np.random.default_rng(0)
  rgb = rng.uniform(-0.2, 1.2, (2, 100, 3)).astype(np.float32)

  def states(rgb, valid):
    depth_m = colormaps.decode(rgb, 'viridis', NEAR_M, FAR_M)
    found = {
      'decoded': depth_m[..., None],
      'painted': colormaps.encode(depth_m, 'viridis', NEAR_M, FAR_M),
    }
    valid = valid[:, None, None]
    return {key: jnp.where(valid, x, 0.0) for key, x in found.items()}

  assert_same_in_all_forms(states, (rgb,), rtol=1e-5)


def test_confidence_falls_with_the_distance_from_the_map():
  on = colormaps.encode(np.linspace(0, 9, 50), 'viridis', 0.0, 9.0)
  off = np.array([[1.0, 0.0, 0.0], [np.nan, 0.0, 0.0]])
  np.testing.assert_allclose(colormaps.confidence(on, 'viridis'), 1, atol=1e-6)
  far, unknown = colormaps.confidence(off, 'viridis')
  assert 0 < far < 0.05 and unknown == 0
  gray = np.array([0.5 + 8 / 255 * np.sqrt(1.5), 0.5, 0.5])
  np.testing.assert_allclose(
    colormaps.confidence(gray, 'grayscale'), 0.5, atol=1e-5
  )
