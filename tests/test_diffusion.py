"""The path, the loss and the samplers against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vbanana_jax import keys
from vbanana_jax.diffusion import flow, losses, samplers

MEAN, STD = 0.3, 0.5


def gaussian_denoiser(z, time):
  """E[x | z] when x is N(MEAN, STD^2): what a perfect network would answer."""
  t = time[:, None, None, None]
  noise_std = 1.0 - t
  gain = t * STD**2 / ((t * STD) ** 2 + noise_std**2)
  return MEAN + gain * (z - t * MEAN)


def exact_end(noise):
  """Where the flow of `gaussian_denoiser` takes unit noise."""
  return MEAN + STD * noise


def sample(denoise, noise, *, steps, method):
  times = samplers.even_times(steps)
  return samplers.sample(
    denoise, noise, times=times, start_time=0.04, method=method
  )


@pytest.fixture(scope='module')
def noise():
  example_keys = keys.make_example_keys(keys.make_key(0), jnp.arange(64))
  return flow.make_noise(example_keys, (8, 8, 3), jnp.ones(64))


@pytest.mark.parametrize('method', ['euler', 'heun'])
def test_a_network_is_not_asked_for_a_sample_at_time_0(method):
  told = []

  def denoise(z, time):
    jax.debug.callback(lambda t: told.append(float(t[0])), time)
    return z

  x = sample(denoise, jnp.ones((1, 2, 2, 3)), steps=4, method=method)
  jax.block_until_ready(x)
  jax.effects_barrier()
  assert min(told) == pytest.approx(0.04) and max(told) == 0.75


@pytest.mark.parametrize('method', ['euler', 'heun'])
def test_sampler_reaches_the_gaussian(noise, method):
  x = sample(gaussian_denoiser, noise, steps=64, method=method)
  assert abs(float(x.mean()) - MEAN) < 0.02
  assert abs(float(x.std()) - STD) < 0.02


@pytest.mark.parametrize('method,order', [('euler', 1), ('heun', 2)])
def test_order_of_convergence(noise, method, order):
  errors = [
    float(
      jnp.abs(
        sample(gaussian_denoiser, noise, steps=steps, method=method)
        - exact_end(noise)
      ).mean()
    )
    for steps in (16, 32)
  ]
  assert abs(np.log2(errors[0] / errors[1]) - order) < 0.35


def test_one_pass_answer_sees_an_empty_canvas_at_time_zero():
  seen = {}

  def denoise(z, time):
    seen.update(z=z, time=time)
    return z + 1.0

  x = samplers.predict_in_one_pass(denoise, (2, 4, 4, 3))
  assert not seen['z'].any() and not seen['time'].any()
  np.testing.assert_array_equal(x, 1.0)


def test_guidance_acts_inside_its_interval_only():
  guided = samplers.guide(
    lambda z, t: jnp.full_like(z, 2.0),
    lambda z, t: (jnp.full_like(z, 2.0), jnp.full_like(z, 1.0)),
    scale=3.0,
    interval=(0.1, 0.9),
  )
  z = jnp.zeros((3, 2, 2, 3))
  x = guided(z, jnp.array([0.05, 0.5, 0.95]))[:, 0, 0, 0]
  np.testing.assert_allclose(x, [2.0, 4.0, 2.0])


def test_noise_depends_on_the_example_and_not_on_its_batch():
  key = keys.make_key(3, 'noise')
  shape, ones = (4, 4, 3), jnp.ones(4)
  together = flow.make_noise(
    keys.make_example_keys(key, jnp.arange(4)), shape, ones
  )
  alone = flow.make_noise(
    keys.make_example_keys(key, jnp.array([2])), shape, ones[:1]
  )
  np.testing.assert_array_equal(together[2], alone[0])


def test_velocity_of_the_path_is_data_minus_noise():
  x, noise = jnp.full((2, 4, 4, 3), 0.7), jnp.full((2, 4, 4, 3), -1.2)
  time = jnp.array([0.0, 0.8])
  z = flow.interpolate(x, noise, time)
  np.testing.assert_allclose(flow.velocity(x, z, time), 1.9, rtol=1e-5)


def test_loss_is_the_squared_error_of_x_over_time_left_squared():
  x = jnp.zeros((3, 4, 4, 3))
  time = jnp.array([0.0, 0.5, 0.99])
  error = flow.find_velocity_error(x + 0.1, x, x, time, 'x')
  loss = losses.velocity_loss(error, jnp.ones((3, 4, 4)))
  np.testing.assert_allclose(loss, [0.01, 0.04, 4.0], rtol=1e-5)


def test_loss_ignores_pixels_of_no_weight_even_nan():
  x = jnp.zeros((2, 4, 4, 3)).at[0, 0, 0].set(jnp.nan)
  weight_px = jnp.ones((2, 4, 4)).at[0, 0, 0].set(0.0).at[1].set(0.0)
  loss = losses.velocity_loss(jnp.ones_like(x) - x, weight_px)
  np.testing.assert_allclose(loss, [1.0, 0.0])


def test_loss_is_a_mean_weighted_by_pixel():
  x = jnp.zeros((1, 2, 2, 3))
  weight_px = jnp.array([[[3.0, 1.0], [1.0, 0.0]]])
  prediction = x.at[0, 0, 0].set(1.0).at[0, 1, 1].set(9.0)
  loss = losses.velocity_loss(prediction - x, weight_px)
  np.testing.assert_allclose(loss, [3 / 5])


def test_times_are_logit_normal():
  example_keys = keys.make_example_keys(keys.make_key(0), jnp.arange(4096))
  logits = jax.scipy.special.logit(flow.sample_times(example_keys, -0.8, 0.8))
  assert abs(float(logits.mean()) + 0.8) < 0.05
  assert abs(float(logits.std()) - 0.8) < 0.05


def test_noise_scale_follows_the_resolution():
  assert [flow.noise_scale_for(s) for s in (64, 1024, 2048)] == [4.0, 4.0, 8.0]


def test_one_sampler_is_the_default_everywhere():
  from vbanana_jax import config
  from vbanana_jax.inference import engine, request

  assert samplers.DEFAULT in samplers.STEPS
  assert engine.SamplerConfig(seed=0, steps=1).method == samplers.DEFAULT
  assert request.PredictRequest('generate').sampler == samplers.DEFAULT
  settings = config.load_config('quickstart').eval
  assert settings.sampler == samplers.DEFAULT
