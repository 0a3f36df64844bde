"""Depth metrics against stored results, a recomputation, and closed forms."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from forms import assert_same_in_all_forms

from vbanana_jax.metrics import alignment, crops, depth

ORACLES = Path(__file__).parent / 'oracles'
GOLDEN = np.load(ORACLES / 'depth.npz')
WANT = json.loads((ORACLES / 'depth.json').read_text())
CASES = WANT['cases']
# Means and roots: by our names, the stored names. Shares are apart.
NAMES = {
  'abs_rel': 'absrel',
  'sq_rel': 'sqrel',
  'rmse': 'rmse',
  'rmse_log': 'rmse_log',
  'log10': 'log10',
  'silog': 'silog',
}
DELTAS = ('delta1', 'delta2', 'delta3')
states_of = jax.jit(depth.depth_states)
ALIGNMENTS = tuple(alignment.FITS)


def aligned_states(prediction_m, truth_m, where=True, **options):
  states = {}
  for name in ALIGNMENTS:
    states |= alignment.aligned_depth_states(
      prediction_m, truth_m, alignment=name, where=where, **options
    )
  return states


aligned_of = jax.jit(aligned_states)


def summed(states):
  return {
    key: np.asarray(value, np.float64).sum(0) for key, value in states.items()
  }


def score(*args, **options):
  return depth.summarize_depth(summed(states_of(*args, **options)))


def draw(seed, shape=(4, 24, 32)):
  """Truth with holes, and predictions of any kind."""
  rng = np.random.default_rng(seed)
  truth = rng.uniform(0.2, 12, shape)
  prediction = truth * np.exp(rng.normal(0, 0.3, shape)) + rng.normal(0.2)
  truth[rng.random(shape) < 0.1] = 0
  truth[rng.random(shape) < 0.02] = np.inf
  for value in (0, np.inf, np.nan, -2):
    prediction[rng.random(shape) < 0.01] = value
  where = rng.random(shape) < 0.9
  return prediction.astype(np.float32), truth.astype(np.float32), where


def recompute(p, g):
  """Scores of the pixels of one image, by the book, in float64."""
  p, g = p.astype(np.float64), g.astype(np.float64)
  ratio = np.maximum(p / g, g / p)
  e = np.log(p) - np.log(g)
  return {
    'delta1': np.mean(ratio < 1.25),
    'delta2': np.mean(ratio < 1.25**2),
    'delta3': np.mean(ratio < 1.25**3),
    'abs_rel': np.mean(np.abs(p - g) / g),
    'sq_rel': np.mean((p - g) ** 2 / g),
    'rmse': np.sqrt(np.mean((p - g) ** 2)),
    'rmse_log': np.sqrt(np.mean(e**2)),
    'log10': np.mean(np.abs(np.log10(p) - np.log10(g))),
    'silog': 100 * np.std(e),
  }


def assert_scores(got, want, pixels, names=None, prefix=''):
  names = names or {name: name for name in NAMES}
  for name, golden in names.items():
    np.testing.assert_allclose(
      got[prefix + name], want[golden], rtol=1e-5, err_msg=name
    )
  for name in DELTAS:  # One pixel of slack at the ratio itself.
    assert abs(got[prefix + name] - want[name]) <= 1.001 / pixels, name


@pytest.mark.parametrize('name', CASES)
def test_equals_the_oracle_by_image_and_pooled(name):
  want = CASES[name]
  low, high = want['lo'], want['hi']
  pred, where = GOLDEN['pred'], np.ones(GOLDEN['pred'].shape, bool)
  clamp_m = (low, high)
  if not want['clip_prediction']:
    # Black and white are dropped there, and nothing else is clamped.
    where = (pred > 0) & np.isfinite(pred)
    clamp_m = (1e-9, np.inf)
  states = states_of(
    pred, GOLDEN['gt'], near_m=low, cap_m=high, clamp_m=clamp_m, where=where
  )
  images = want['per_image']
  counts = [image['count'] for image in images]
  np.testing.assert_array_equal(states['pixels'], counts)
  for row, image in enumerate(images):
    one = {key: value[row] for key, value in states.items()}
    assert_scores(depth.summarize_depth(one), image, image['count'], NAMES)
  got = depth.summarize_depth(summed(states))
  assert_scores(got, want['image_mean'], min(counts), NAMES)
  assert_scores(got, want['pooled'], sum(counts) / 4, NAMES, 'pooled_')


@pytest.mark.parametrize('seed', [0, 1, 2])
def test_equals_a_recomputation(seed):
  pred, truth, where = draw(seed)
  near, cap, clamp_m = 0.5 * seed, 8.0 + seed, (0.3, 9.0)
  states = states_of(
    pred, truth, near_m=near, cap_m=cap, clamp_m=clamp_m, where=where
  )
  counted = where & (truth > near) & (truth < cap)
  p = np.clip(np.nan_to_num(pred, nan=0.3, posinf=np.inf), *clamp_m)
  images = [recompute(p[i][counted[i]], truth[i][counted[i]]) for i in range(4)]
  want = {key: np.mean([image[key] for image in images]) for key in images[0]}
  got = depth.summarize_depth(summed(states))
  pixels = counted.sum()
  assert_scores(got, want, pixels / 4)
  assert_scores(
    got, recompute(p[counted], truth[counted]), pixels, None, 'pooled_'
  )


def test_same_in_all_forms():
  def states_fn(pred, truth, where, valid):
    options = {'cap_m': 10.0, 'where': where, 'valid': valid}
    states = depth.depth_states(pred, truth, **options)
    counted = depth.is_measured(truth, **options)
    p = depth.clamp(pred, (0.1, 10.0))
    for name, fit in alignment.FITS.items():
      scale, shift = fit(p, jnp.where(counted, truth, 0.0), counted)
      states[f'{name}_scale'] = jnp.where(valid, scale, 0.0)
      states[f'{name}_shift'] = jnp.where(valid, shift, 0.0)
    return states

  # Log ratios cancel in their sum.
  assert_same_in_all_forms(states_fn, draw(3, (4, 6, 8)), atol=1e-5)


def test_perfect_and_scaled_predictions():
  truth = np.random.default_rng(0).uniform(1, 9, (2, 6, 8)).astype(np.float32)
  got = score(truth, truth)
  assert got['delta1'] == 1 and got['abs_rel'] == got['rmse'] == 0
  got = score(1.5 * truth, truth)
  np.testing.assert_allclose(got['abs_rel'], 0.5, rtol=1e-5)
  np.testing.assert_allclose(got['rmse_log'], np.log(1.5), rtol=1e-5)
  np.testing.assert_allclose(got['log10'], np.log10(1.5), rtol=1e-5)
  np.testing.assert_allclose(got['silog'], 0, atol=1e-3)
  assert got['delta1'] == 0 and got['delta2'] == 1


def test_black_white_and_nan_predictions_are_wrong_but_finite():
  truth = np.full((2, 6, 8), 3.0, np.float32)
  for value in (0.0, -0.0, np.inf, np.nan, -5.0):
    got = score(np.full_like(truth, value), truth)
    assert got['delta3'] == 0
    assert np.isfinite(list(got.values())).all()


def test_padding_of_the_picture_changes_nothing():
  pred, gt = GOLDEN['pred'], GOLDEN['gt']
  whole = summed(states_of(pred, gt))
  padded_gt = np.ones((4, 30, 40), np.float32)
  padded_pred = np.full((4, 30, 40), np.nan, np.float32)
  where = np.zeros((30, 40), bool)
  padded_gt[:, :24, :32], padded_pred[:, :24, :32] = gt, pred
  where[:24, :32] = True
  padded = summed(states_of(padded_pred, padded_gt, where=where))
  for key, value in whole.items():
    np.testing.assert_allclose(padded[key], value, rtol=1e-6, atol=1e-4)


def test_nothing_counted_is_nan():
  truth = np.full((2, 6, 8), np.inf, np.float32)
  assert np.isnan(list(score(truth, truth).values())).all()


def test_alignments_equal_the_oracle():
  want = WANT['alignment_image0']
  pred, truth = GOLDEN['pred'][:1], GOLDEN['gt'][:1]
  counted = (truth > 1e-3) & (truth < 10)
  p = depth.clamp(pred, (1e-3, 10.0))
  g = jnp.where(counted, truth, 0.0)
  fits = {
    name: fit(p, g, jnp.asarray(counted))
    for name, fit in alignment.FITS.items()
  }
  np.testing.assert_allclose(fits['median'][0], want['median_scale'], 1e-6)
  np.testing.assert_allclose(fits['lstsq'][0], want['lstsq_scale'], 1e-5)
  np.testing.assert_allclose(fits['lstsq'][1], want['lstsq_shift'], 1e-5)
  golden = want['relative_l2_scale']
  np.testing.assert_allclose(fits['relative'][0], golden, 1e-5)
  states = summed(aligned_of(pred, truth, cap_m=10.0))
  for name, golden in (('median', 'median_scaled'), ('lstsq', 'lstsq')):
    scale, shift = fits[name]
    aligned = scale[:, None, None] * p + shift[:, None, None]
    # The stored scores do not clamp again.
    free = states_of(aligned, truth, cap_m=10.0, clamp_m=(1e-9, np.inf))
    got = depth.summarize_depth(summed(free))
    assert_scores(got, want[golden], counted.sum(), NAMES)
    got = alignment.summarize_aligned_depth(states, alignment=name)
    assert all(key.startswith(f'aligned_{name}_') for key in got)


@pytest.mark.parametrize('seed', [4, 5])
def test_alignments_equal_a_recomputation(seed):
  pred, truth, where = draw(seed)
  states = summed(aligned_of(pred, truth, where, cap_m=10.0))
  found = {name: [] for name in ALIGNMENTS}
  for p, g, kept in zip(pred.astype(np.float64), truth, where):
    counted = kept & (g > 1e-3) & (g < 10)
    p = np.clip(np.nan_to_num(p, nan=1e-3, posinf=np.inf), 1e-3, 10)[counted]
    g = g[counted].astype(np.float64)
    columns = np.stack([p, np.ones_like(p)], -1)
    scale, shift = np.linalg.lstsq(columns, g)[0]
    aligned = {
      'median': p * np.median(g) / np.median(p),
      'lstsq': scale * p + shift,
      'relative': p * np.sum(p / g) / np.sum((p / g) ** 2),
    }
    for name, x in aligned.items():
      found[name].append(recompute(np.clip(x, 1e-3, 10), g))
  for name, images in found.items():
    got = alignment.summarize_aligned_depth(states, alignment=name)
    want = {key: np.mean([image[key] for image in images]) for key in images[0]}
    assert_scores(got, want, where[0].size, None, f'aligned_{name}_')


def test_alignment_undoes_what_it_fits():
  rng = np.random.default_rng(0)
  truth = rng.uniform(2, 9, (4, 24, 32)).astype(np.float32)
  states = summed(aligned_of(0.5 * truth, truth, cap_m=10.0))
  moved = summed(aligned_of(0.5 * truth + 1, truth, cap_m=10.0))
  for name in ALIGNMENTS:
    got = alignment.summarize_aligned_depth(states, alignment=name)
    assert got[f'aligned_{name}_rmse'] < 1e-5
    got = alignment.summarize_aligned_depth(moved, alignment=name)
    assert (got[f'aligned_{name}_rmse'] < 1e-5) == (name == 'lstsq')
  # A flat prediction: the mean of the truth, not a division by zero.
  flat = summed(aligned_of(np.full_like(truth, 3), truth, cap_m=10.0))
  got = alignment.summarize_aligned_depth(flat, alignment='lstsq')
  want = np.sqrt(np.mean(np.var(truth, axis=(1, 2))))
  np.testing.assert_allclose(got['aligned_lstsq_rmse'], want, rtol=1e-3)


CROPS = {
  'nyu': {'kind': 'box', 'rows': [45, 471], 'columns': [41, 601]},
  'kitti_garg': {'kind': 'kb_garg'},
  'kitti_eigen': {'kind': 'kb_eigen'},
  'diode_nocrop': None,
}


@pytest.mark.parametrize('name', sorted(set(WANT['closed_form']) - {'recipe'}))
def test_full_size_crops_equal_the_oracle(name):
  want = WANT['closed_form'][name]
  height, width = want['h'], want['w']
  low, high = want['lo'], want['hi']
  index = np.arange(height * width, dtype=np.float64).reshape(height, width)
  truth = 1.05 * high * (index * 0.6180339887498949 % 1)
  pred = truth * (1 + 0.35 * np.sin(0.001 * index)) + 0.05
  if name in CROPS:
    inside = crops.make_crop((height, width), CROPS[name])
  else:
    inside = crops.make_garg_crop((height, width))
  rows, columns = slice(*want['rows']), slice(*want['cols'])
  assert inside[rows, columns].all()
  assert inside.sum() == inside[rows, columns].size
  # Compiled for one shape: a picture of any size is a row of pixels.
  size = -(-height * width // 512) * 512
  args = [
    np.resize(x.ravel(), size).reshape(1, -1, 512).astype(np.float32)
    for x in (pred, truth)
  ]
  where = np.resize(inside.ravel(), size) & (np.arange(size) < inside.size)
  states = states_of(
    *args,
    near_m=low,
    cap_m=high,
    clamp_m=(low, high),
    where=where.reshape(1, -1, 512),
  )
  assert states['pixels'] == want['count']
  assert_scores(
    depth.summarize_depth(summed(states)), want, want['count'], NAMES
  )
