"""Depth metrics against stored results, and their invariances."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from vbanana_jax.metrics import depth

ORACLES = Path(__file__).parent / 'oracles'
GOLDEN = np.load(ORACLES / 'depth.npz')
CASES = json.loads((ORACLES / 'depth.json').read_text())['cases']
NAMES = {'abs_rel': 'absrel', 'rmse': 'rmse', 'silog': 'silog'}
states_of = jax.jit(depth.depth_states)


def summed(states):
  return {
    key: np.asarray(value, np.float64).sum(0) for key, value in states.items()
  }


def score(*args, **options):
  return depth.summarize_depth(summed(states_of(*args, **options)))


@pytest.mark.parametrize('cap', [5.0, 10.0, 80.0])
def test_equals_the_oracle_by_image_and_pooled(cap):
  states = states_of(GOLDEN['pred'], GOLDEN['gt'], cap_m=cap)
  want = CASES[f'lo0.001_hi{cap}_clip']
  counts = [image['count'] for image in want['per_image']]
  np.testing.assert_array_equal(states['pixels'], counts)
  got = depth.summarize_depth(summed(states))
  for prefix, key in (('', 'image_mean'), ('pooled_', 'pooled')):
    for name, golden in NAMES.items():
      np.testing.assert_allclose(
        got[prefix + name], want[key][golden], rtol=1e-5
      )
  for k in (1, 2, 3):
    golden = [image[f'delta{k}'] for image in want['per_image']]
    hits = states[f'delta{k}']
    assert np.abs(hits - np.multiply(golden, counts)).max() <= 1 + 1e-6
    pooled = want['pooled'][f'delta{k}']
    assert abs(got[f'pooled_delta{k}'] - pooled) <= 4 / sum(counts)


def test_perfect_and_scaled_predictions():
  truth = np.random.default_rng(0).uniform(1, 9, (2, 6, 8)).astype(np.float32)
  got = score(truth, truth)
  assert got['delta1'] == 1 and got['abs_rel'] == got['rmse'] == 0
  got = score(1.5 * truth, truth)
  np.testing.assert_allclose(got['abs_rel'], 0.5, rtol=1e-5)
  np.testing.assert_allclose(got['silog'], 0, atol=1e-3)
  assert got['delta1'] == 0 and got['delta2'] == 1


def test_black_white_and_nan_predictions_are_wrong_but_finite():
  truth = np.full((2, 6, 8), 3.0, np.float32)
  for value in (0.0, -0.0, np.inf, np.nan, -5.0):
    got = score(np.full_like(truth, value), truth)
    assert got['delta3'] == 0
    assert np.isfinite(list(got.values())).all()


def test_padding_masks_and_batch_split_change_nothing():
  pred, gt = GOLDEN['pred'], GOLDEN['gt']
  whole = summed(states_of(pred, gt))
  halves = [summed(states_of(pred[i : i + 2], gt[i : i + 2])) for i in (2, 0)]
  rng = np.random.default_rng(0)
  padded_gt = rng.uniform(1, 2, (6, 30, 40)).astype(np.float32)
  padded_pred = rng.uniform(1, 2, (6, 30, 40)).astype(np.float32)
  where = np.zeros((6, 30, 40), bool)
  padded_gt[:4, :24, :32], padded_pred[:4, :24, :32] = gt, pred
  where[:, :24, :32] = True
  padded = summed(
    states_of(padded_pred, padded_gt, where=where, valid=np.arange(6) < 4)
  )
  for key, value in whole.items():
    np.testing.assert_allclose(halves[0][key] + halves[1][key], value, 1e-6)
    np.testing.assert_allclose(padded[key], value, 1e-6)


def test_nothing_counted_is_nan():
  truth = np.full((2, 6, 8), np.inf, np.float32)
  assert np.isnan(list(score(truth, truth).values())).all()
