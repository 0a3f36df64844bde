"""Normals metrics against stored results, a recomputation, and closed forms."""

import functools
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from forms import assert_same_in_all_forms

from vbanana_jax.metrics import normals

ORACLES = Path(__file__).parent / 'oracles'
GOLDEN = np.load(ORACLES / 'normals.npz')
WANT = json.loads((ORACLES / 'normals.json').read_text())
THRESHOLDS = ('5', '7.5', '11.25', '22.5', '30')
states_of = jax.jit(
  functools.partial(normals.normals_states, bin_deg=normals.FINE_BIN_DEG)
)
angle_of = jax.jit(normals.angular_error_deg)


def summed(states):
  return {
    key: np.asarray(value, np.float64).sum(0) for key, value in states.items()
  }


def golden(rows=(0, 1, 2)):
  rows = np.asarray(rows)
  pred, gt = GOLDEN['pred'][rows], GOLDEN['gt'][rows]
  return states_of(pred, gt, where=GOLDEN['valid'][rows])


def assert_scores(got, want, slack, prefix=''):
  """Means to 1e-5, medians to half a bin, shares (in %) to a pixel an image."""
  np.testing.assert_allclose(got[f'{prefix}mean_deg'], want['mean'], rtol=1e-5)
  np.testing.assert_allclose(got[f'{prefix}rmse_deg'], want['rmse'], rtol=1e-5)
  assert abs(got[f'{prefix}median_deg'] - want['median']) <= 0.005 + 1e-4
  for threshold in THRESHOLDS:
    share = want[f'below_{threshold}'] / 100
    assert abs(got[f'{prefix}within_{threshold}'] - share) <= slack + 1e-6


def test_equals_the_oracle_pooled_and_by_image():
  states = golden()
  images = WANT['per_image']
  counts = [image['count'] for image in images]
  np.testing.assert_array_equal(states['pixels'], counts)
  for row, image in enumerate(images):
    one = {key: np.asarray(value[row]) for key, value in states.items()}
    got = normals.summarize_normals(one)
    assert_scores(got, image, 1 / image['count'])
    assert_scores(got, image, 1 / image['count'], 'image_')
  got = normals.summarize_normals(summed(states))
  assert_scores(got, WANT['pooled'], 3 / sum(counts))
  assert_scores(got, WANT['image_mean'], 1 / min(counts), 'image_')
  # The same bins, so the same median.
  median = WANT['median_from_0.01deg_histogram']
  assert got['median_deg'] == pytest.approx(median, abs=1e-9)


def test_coarse_bins_are_half_a_bin_off_at_most():
  states = normals.normals_states(
    GOLDEN['pred'], GOLDEN['gt'], where=GOLDEN['valid']
  )
  assert states['histogram'].shape == (3, 1800)
  got = normals.summarize_normals(summed(states))
  assert abs(got['median_deg'] - WANT['pooled']['median']) <= 0.05 + 1e-4
  golden = WANT['image_mean']['median']
  assert abs(got['image_median_deg'] - golden) <= 0.05 + 1e-4


@pytest.mark.parametrize('seed', [0, 1, 2])
def test_equals_a_recomputation(seed):
  rng = np.random.default_rng(seed)
  truth = rng.normal(size=(3, 24, 32, 3)).astype(np.float32)
  noise = rng.normal(0, 0.3, truth.shape)
  pred = ((truth + noise) * rng.uniform(0.1, 9)).astype(np.float32)
  truth[rng.random(truth.shape[:3]) < 0.1] = 0
  pred[rng.random(truth.shape[:3]) < 0.02] = 0
  where = rng.random(truth.shape[:3]) < [[[0.9]], [[0.2]], [[0.5]]]
  counted = where & (truth != 0).any(-1)
  u, v = (x.astype(np.float64) for x in (pred, truth))
  sine = np.linalg.norm(np.cross(u, v), axis=-1)
  angle = np.rad2deg(np.arctan2(sine, np.sum(u * v, -1)))
  angle[(pred == 0).all(-1)] = 90

  def recompute(angle):
    return {
      'mean': angle.mean(),
      'median': np.median(angle),
      'rmse': np.sqrt(np.mean(angle**2)),
      **{f'below_{t}': 100 * np.mean(angle < float(t)) for t in THRESHOLDS},
    }

  images = [recompute(a[c]) for a, c in zip(angle, counted)]
  means = {key: np.mean([image[key] for image in images]) for key in images[0]}
  got = normals.summarize_normals(summed(states_of(pred, truth, where=where)))
  assert_scores(got, recompute(angle[counted]), 3 / counted.sum())
  assert_scores(got, means, 1 / counted.sum((1, 2)).min(), 'image_')


@pytest.mark.parametrize(
  'shape, bin_deg', [((4, 6, 8), 0.1), ((8, 24, 32), normals.FINE_BIN_DEG)]
)
def test_same_in_all_forms(shape, bin_deg):
  rng = np.random.default_rng(0)
  truth, pred = rng.normal(size=(2, *shape, 3)).astype(np.float32)
  truth[:, 0] = 0
  pred[:, 1, 1] = np.nan

  def states_fn(pred, truth, where, valid):
    return normals.normals_states(
      pred, truth, bin_deg=bin_deg, where=where, valid=valid
    )

  where = rng.random(shape) < 0.8
  assert_same_in_all_forms(states_fn, (pred, truth, where))


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


def test_padding_of_the_picture_changes_nothing():
  whole = summed(golden())
  padded_gt = np.ones((3, 26, 40, 3), np.float32)
  padded_pred = np.zeros((3, 26, 40, 3), np.float32)
  where = np.zeros((3, 26, 40), bool)
  padded_gt[:, :24, :32] = GOLDEN['gt']
  padded_pred[:, :24, :32] = GOLDEN['pred']
  where[:, :24, :32] = GOLDEN['valid']
  padded = summed(states_of(padded_pred, padded_gt, where=where))
  for key, value in whole.items():
    np.testing.assert_allclose(padded[key], value, rtol=1e-6)


def test_zero_truth_is_not_counted():
  zero = np.zeros((3, 24, 32, 3), np.float32)
  states = summed(states_of(GOLDEN['pred'], zero, where=GOLDEN['valid']))
  assert not any(np.any(value) for value in states.values())
  assert np.isnan(list(normals.summarize_normals(states).values())).all()
