"""Picture metrics: closed forms, and Frechet distances against scipy's."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from vbanana_jax.metrics import images

ORACLES = Path(__file__).parent / 'oracles'
GOLDEN = np.load(ORACLES / 'frechet.npz')
WANT = json.loads((ORACLES / 'frechet.json').read_text())
states_of = jax.jit(images.image_states)
feature_states_of = jax.jit(images.feature_states)


def gaussian(samples):
  samples = samples.astype(np.float64)
  return samples.mean(0), np.cov(samples, rowvar=False)


def summed(states):
  return {
    key: np.asarray(value, np.float64).sum(0) for key, value in states.items()
  }


def pictures(seed, b=6):
  return np.random.default_rng(seed).random((b, 16, 16, 3), np.float32)


def test_frechet_equals_scipy():
  real, fake = gaussian(GOLDEN['real']), gaussian(GOLDEN['fake'])
  got = images.frechet(*real, *fake)
  assert got == pytest.approx(WANT['fd_real_fake'], abs=1e-9)
  assert got == pytest.approx(images.frechet(*fake, *real), abs=1e-9)
  assert abs(images.frechet(*real, *real)) < 1e-9


def test_frechet_of_known_gaussians():
  # N(0, S) and N(m, 4 S): |m|^2 + tr S.
  cov = np.asarray([[2.0, 0.3], [0.3, 1.0]])
  shift = np.asarray([1.5, 0.5])
  got = images.frechet(np.zeros(2), cov, shift, 4 * cov)
  assert got == pytest.approx(2.5 + 3.0, abs=1e-12)


def test_moments_equal_numpys_and_skip_invalid_rows():
  states = feature_states_of(pictures(0), valid=np.arange(6) < 5)
  mean, cov = images.moments(summed(states))
  kept = np.asarray(states['feature_sum'], np.float64)[:5]
  assert kept.shape == (5, images.FEATURES)
  np.testing.assert_allclose(mean, kept.mean(0), rtol=1e-6)
  np.testing.assert_allclose(cov, np.cov(kept, rowvar=False), atol=1e-6)
  assert not np.any(states['feature_sum'][5])
  with pytest.raises(ValueError, match='at least 2'):
    images.moments({'feature_count': 1})


def test_features_see_colour_and_texture():
  def fd(a, b):
    a, b = (images.moments(summed(feature_states_of(x))) for x in (a, b))
    return images.frechet(*a, *b)

  noise, other = pictures(0, 96), pictures(1, 96)
  same = fd(noise, other)
  tinted = fd(noise, other * np.float32([1, 0.5, 0.5]))
  smooth = fd(noise, 0.5 + 0.3 * (other - 0.5))
  assert tinted > 3 * same and smooth > 3 * same


def test_mae_and_psnr_closed_forms():
  truth = pictures(2)[:2] * 0.5
  got = images.summarize_images(summed(states_of(truth + 0.1, truth)))
  assert got == pytest.approx({'mae': 0.1, 'psnr': 20.0}, rel=1e-5)
  got = images.summarize_images(summed(states_of(truth, truth)))
  assert got == {'mae': 0.0, 'psnr': pytest.approx(100.0)}


def test_invalid_rows_and_pixels_do_not_count():
  truth = pictures(3)[:3]
  prediction = truth + 0.1
  prediction[2] = 9.0
  prediction[:, 4:] = 7.0
  where = np.zeros((3, 16, 16), bool)
  where[:, :4] = True
  valid = np.asarray([True, True, False])
  states = summed(states_of(prediction, truth, where=where, valid=valid))
  got = images.summarize_images(states)
  assert got == pytest.approx({'mae': 0.1, 'psnr': 20.0}, rel=1e-4)
  empty = images.summarize_images({'images': 0, 'mae': 0.0, 'psnr': 0.0})
  assert np.isnan(list(empty.values())).all()
