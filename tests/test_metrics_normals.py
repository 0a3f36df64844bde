"""Normals metrics against stored results, closed forms and invariances."""

import json
from pathlib import Path

import jax
import numpy as np

from vbanana_jax.metrics import normals

ORACLES = Path(__file__).parent / 'oracles'
GOLDEN = np.load(ORACLES / 'normals.npz')
WANT = json.loads((ORACLES / 'normals.json').read_text())['pooled']
states_of = jax.jit(normals.normals_states)
angle_of = jax.jit(normals.angular_error_deg)


def summed(states):
  return {
    key: np.asarray(value, np.float64).sum(0) for key, value in states.items()
  }


def golden(rows=(0, 1, 2)):
  rows = np.asarray(rows)
  pred, gt = GOLDEN['pred'][rows], GOLDEN['gt'][rows]
  return states_of(pred, gt, where=GOLDEN['valid'][rows])


def test_equals_the_oracle():
  states = summed(golden())
  assert states['pixels'] == WANT['count']
  got = normals.summarize_normals(states)
  np.testing.assert_allclose(got['mean_deg'], WANT['mean'], rtol=1e-5)
  np.testing.assert_allclose(got['rmse_deg'], WANT['rmse'], rtol=1e-5)
  assert abs(got['median_deg'] - WANT['median']) <= 0.05 + 1e-6
  for threshold in ('5', '11.25', '22.5', '30'):
    hits = WANT[f'below_{threshold}'] / 100 * WANT['count']
    assert abs(states[f'within_{threshold}'] - hits) <= 3 + 1e-6


def test_angles_have_their_closed_forms():
  degrees = np.asarray([0, 1e-3, 5, 90, 179.999, 180], np.float64)
  angle = np.deg2rad(degrees)
  turned = np.stack([np.sin(angle), 0 * angle, np.cos(angle)], -1)
  ahead = np.broadcast_to(np.float32([0, 0, 3]), turned.shape)
  got = angle_of(turned.astype(np.float32), ahead)
  np.testing.assert_allclose(got, degrees, rtol=1e-5, atol=1e-5)


def test_unusable_predictions_are_90_degrees_off():
  odd = np.float32([[0, 0, 0], [np.nan, 0, 1], [np.inf, 0, 0]])
  odd = np.concatenate([odd, odd])
  up = np.broadcast_to(np.float32([0, 1, 0]), odd.shape)
  np.testing.assert_array_equal(angle_of(odd, up), 90)


def test_batch_split_and_padding_change_nothing():
  whole = summed(golden())
  # Two batches whose other rows are someone else's.
  first, rest = golden([0, 1, 1]), golden([2, 0, 0])
  padded_gt = np.ones((4, 26, 40, 3), np.float32)
  padded_pred = np.zeros((4, 26, 40, 3), np.float32)
  where = np.zeros((4, 26, 40), bool)
  padded_gt[:3, :24, :32] = GOLDEN['gt']
  padded_pred[:3, :24, :32] = GOLDEN['pred']
  where[:3, :24, :32] = GOLDEN['valid']
  where[3] = True
  valid = np.asarray([True, True, True, False])
  padded = summed(states_of(padded_pred, padded_gt, where=where, valid=valid))
  for key, value in whole.items():
    split = np.sum(first[key][:2], 0) + rest[key][0]
    np.testing.assert_allclose(split, value, rtol=1e-6)
    np.testing.assert_allclose(padded[key], value, rtol=1e-6)


def test_zero_truth_is_not_counted():
  zero = np.zeros((3, 24, 32, 3), np.float32)
  states = summed(states_of(GOLDEN['pred'], zero, where=GOLDEN['valid']))
  assert states['pixels'] == states['angle'] == states['histogram'].sum() == 0
  assert np.isnan(list(normals.summarize_normals(states).values())).all()
