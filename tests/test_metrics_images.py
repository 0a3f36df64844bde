"""Absolute error and PSNR: closed forms, numpy, and all forms."""

import jax
import numpy as np
import pytest
from forms import assert_same_in_all_forms

from vbanana_jax.metrics import images

states_of = jax.jit(images.image_states)


def summed(states):
  return {
    key: np.asarray(value, np.float64).sum(0) for key, value in states.items()
  }


def pictures(seed, b=6):
  return np.random.default_rng(seed).random((b, 16, 16, 3), np.float32)


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


def test_equals_numpy_and_is_the_same_in_all_forms():
  rng = np.random.default_rng(11)
  truth, prediction = pictures(4), pictures(5)
  where = rng.random((6, 16, 16)) < 0.7

  def states_fn(prediction, truth, where, *, valid):
    return images.image_states(prediction, truth, where=where, valid=valid)

  arrays = (prediction, truth, where)
  got = images.summarize_images(assert_same_in_all_forms(states_fn, arrays))
  error = np.float64(prediction) - truth
  mse = [np.mean(e[w] ** 2) for e, w in zip(error, where)]
  want = {
    'mae': np.mean([np.mean(np.abs(e[w])) for e, w in zip(error, where)]),
    'psnr': np.mean(-10 * np.log10(mse)),
  }
  assert got == pytest.approx(want, rel=1e-5)
