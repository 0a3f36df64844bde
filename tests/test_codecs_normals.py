"""Normals codec: directions have the paper's colors; cycles; odd inputs."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from forms import assert_same_in_all_forms

from vbanana_jax.codecs import normals

encode = jax.jit(normals.encode)
decode = jax.jit(normals.decode)
residual = jax.jit(normals.residual)
confidence = jax.jit(normals.confidence)
find_surface = jax.jit(normals.find_surface)


def random_unit(rng, *shape):
  vectors = rng.standard_normal((*shape, 3))
  return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def test_directions_have_the_colors_of_the_paper():
  axes = jnp.asarray(
    [[-1, 0, 0], [1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1.0]]
  )
  left_red = [1, 0.5, 0.5]
  want = [left_red, [0, 0.5, 0.5], [0.5, 1, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 1]]
  np.testing.assert_array_equal(encode(axes), want)


def test_cycle_and_unit_length():
  unit = random_unit(np.random.default_rng(0), 4, 5)
  rgb = encode(unit)
  np.testing.assert_allclose(decode(rgb), unit, atol=1e-6)
  np.testing.assert_allclose(residual(rgb), 0, atol=1e-6)
  # A faded picture still gives unit vectors of the same direction.
  faded = 0.5 + 0.6 * (rgb - 0.5)
  np.testing.assert_allclose(decode(faded), unit, atol=1e-6)
  np.testing.assert_allclose(residual(faded), 0.2, atol=1e-6)


def test_any_color_is_read_as_in_float64():
  rgb = np.random.default_rng(0).uniform(-0.5, 1.5, (4, 5, 3))
  rgb = rgb.astype(np.float32)
  vectors = (2 * rgb.astype(np.float64) - 1) * [-1, 1, 1]
  length = np.linalg.norm(vectors, axis=-1, keepdims=True)
  np.testing.assert_allclose(decode(rgb), vectors / length, atol=2e-6)
  want = np.abs(length[..., 0] - 1) / 2
  np.testing.assert_allclose(residual(rgb), want, atol=1e-6)


def test_eight_bits_cost_less_than_half_a_degree():
  unit = random_unit(np.random.default_rng(0), 2000)
  rgb = np.round(np.asarray(encode(unit)) * 255) / np.float32(255)
  cosine = np.clip((decode(rgb) * unit).sum(-1), -1, 1)
  assert np.rad2deg(np.arccos(cosine)).max() < 0.5


def test_colors_without_a_direction_follow_the_stated_rules():
  gray = encode(jnp.zeros(3))
  np.testing.assert_array_equal(gray, [0.5] * 3)
  np.testing.assert_array_equal(decode(gray), [0] * 3)
  assert residual(gray) == 0.5 and confidence(gray) == 0
  odd = jnp.asarray([[jnp.nan, 0, 1], [0, jnp.inf, 0], [1, 0, -1e20]])
  np.testing.assert_array_equal(encode(odd[:2]), [[0.5] * 3] * 2)
  np.testing.assert_array_equal(decode(odd), jnp.zeros((3, 3)))
  assert np.isinf(residual(odd)).all()
  np.testing.assert_array_equal(confidence(odd), 0)
  # The gray of 8 bits has a faint direction, and is not trusted.
  faint = jnp.full((3, 3), 128 / 255)
  np.testing.assert_allclose(jnp.linalg.norm(decode(faint), axis=-1), 1, 1e-6)
  assert np.all(confidence(faint) < 0.02)


def test_colors_of_no_surface_are_told_from_directions():
  corners = np.stack(np.meshgrid(*[[0.0, 1.0]] * 3), -1).reshape(-1, 3)
  grays = np.array([[v] * 3 for v in (0, 12, 112, 127, 128, 144, 243, 255)])
  for color in (*corners, *grays / 255, (jnp.nan, 0, 1), (jnp.inf, 0, 0)):
    assert not find_surface(jnp.asarray(color)), color
    assert confidence(jnp.asarray(color)) == 0
  rng = np.random.default_rng(0)
  unit = random_unit(rng, 5000)
  assert find_surface(encode(unit)).all()
  noisy = np.rint(255 * encode(unit) + rng.normal(0, 8, unit.shape)) / 255
  assert find_surface(np.clip(noisy, 0, 1)).all()
  # A faded picture, and blends of two directions up to 150 degrees apart.
  assert find_surface(0.5 + 0.3 * (encode(unit) - 0.5)).all()
  tilt = np.deg2rad(75)
  pair = np.array([[s * np.sin(tilt), 0, np.cos(tilt)] for s in (-1, 1)])
  assert find_surface(encode(pair).mean(0))


def test_gradients_are_finite():
  rgb = jnp.asarray([[0.5] * 3, [0, 0, 0], [1, 0.5, 0.5], [jnp.nan, 0, 1]])
  slope = jax.jit(jax.vmap(jax.jacrev(normals.decode)))(rgb)
  assert np.isfinite(slope).all()
  for f in (normals.residual, normals.confidence):
    assert np.isfinite(jax.jit(jax.vmap(jax.grad(f)))(rgb)).all()
  slope = jax.vmap(jax.jacfwd(normals.encode))
  assert np.isfinite(slope(jnp.asarray([[0.0] * 3, [jnp.nan] * 3]))).all()


def test_confidence_is_calibrated_on_fresh_noise(monkeypatch):
  monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
  from perf import confidence as measure

  _, right, said = measure.collect('normals', 12345, 40, 96)
  assert 0.75 < right.mean() < 0.95
  found = measure.calibration(said, right)
  assert found['expected_calibration_error'] < 0.03
  for mean_said, mean_right, share in found['bins']:
    assert share < 0.01 or abs(mean_said - mean_right) < 0.15


def test_same_in_every_form():
  rgb = np.random.default_rng(0).uniform(-0.2, 1.2, (2, 100, 3))

  def states(rgb, valid):
    found = {
      'decoded': normals.decode(rgb),
      'residual': normals.residual(rgb)[..., None],
      'confidence': normals.confidence(rgb)[..., None],
    }
    valid = valid[:, None, None]
    return {key: jnp.where(valid, x, 0.0) for key, x in found.items()}

  assert_same_in_all_forms(states, (rgb.astype(np.float32),), rtol=2e-6)
