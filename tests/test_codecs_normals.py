"""Normals codec: directions have the paper's colours; cycles; odd inputs."""

import jax
import jax.numpy as jnp
import numpy as np

from vbanana_jax.codecs import normals

encode = jax.jit(normals.encode)
decode = jax.jit(normals.decode)
residual = jax.jit(normals.residual)


def test_directions_have_the_colours_of_the_paper():
  axes = jnp.asarray(
    [[-1, 0, 0], [1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1.0]]
  )
  left_red = [1, 0.5, 0.5]
  want = [left_red, [0, 0.5, 0.5], [0.5, 1, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 1]]
  np.testing.assert_array_equal(encode(axes), want)


def test_cycle_and_unit_length():
  vectors = np.random.default_rng(0).standard_normal((4, 5, 3))
  unit = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
  rgb = encode(unit)
  np.testing.assert_allclose(decode(rgb), unit, atol=1e-6)
  np.testing.assert_allclose(residual(rgb), 0, atol=1e-6)
  # A faded picture still gives unit vectors of the same direction.
  faded = 0.5 + 0.6 * (rgb - 0.5)
  np.testing.assert_allclose(decode(faded), unit, atol=1e-6)
  np.testing.assert_allclose(residual(faded), 0.2, atol=1e-6)


def test_zero_vector_is_grey_and_gradients_are_finite():
  grey = encode(jnp.zeros(3))
  np.testing.assert_array_equal(grey, [0.5] * 3)
  np.testing.assert_array_equal(decode(grey), [0] * 3)
  assert residual(grey) == 0.5
  assert np.isfinite(jax.jit(jax.jacrev(normals.decode))(grey)).all()
  assert np.isfinite(jax.jit(jax.grad(normals.residual))(grey)).all()
