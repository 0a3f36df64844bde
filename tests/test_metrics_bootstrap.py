"""Bootstrap intervals: plain resampling, known spreads, pairs, edges."""

import numpy as np
import pytest

from vbanana_jax.metrics import bootstrap


def mean_and_ratio(states):
  """A mean over examples and a quotient of totals; nan where there is none."""
  count = float(states['count'])
  pixels = float(states['pixels'].sum())
  return {
    'mean': states['error'] / count if count else float('nan'),
    'share': float(states['hits'].sum()) / pixels if pixels else float('nan'),
  }


def make_states(seed=0, n=50):
  rng = np.random.default_rng(seed)
  pixels = rng.integers(1, 100, (n, 4)).astype(np.int32)
  return {
    'count': np.ones(n, np.int32),
    'error': rng.normal(3.0, 1.0, n).astype(np.float32),
    'pixels': pixels,
    'hits': rng.binomial(pixels, 0.4).astype(np.int32),
  }


@pytest.mark.parametrize('seed', range(4))
def test_equals_writing_the_drawn_examples_out(seed):
  states = make_states(seed, 17)
  got = bootstrap.make_intervals(
    states, mean_and_ratio, np.random.default_rng(seed), resamples=40
  )
  counts = np.random.default_rng(seed).multinomial(17, [1 / 17] * 17, size=40)
  tables = []
  for weights in counts:
    drawn = np.repeat(np.arange(17), weights)
    sums = {
      name: state[drawn].astype(np.float64).sum(0)
      for name, state in states.items()
    }
    tables.append(mean_and_ratio(sums))
  for name in ('mean', 'share'):
    want = np.quantile([table[name] for table in tables], [0.025, 0.975])
    assert got[name] == pytest.approx(tuple(want), rel=1e-12)


def test_the_interval_of_a_mean_is_two_standard_errors():
  states = make_states(1, 400)
  rng = np.random.default_rng(0)
  low, high = bootstrap.make_intervals(
    states, mean_and_ratio, rng, resamples=2000
  )['mean']
  error = float(np.std(states['error'])) / 20
  assert (low + high) / 2 == pytest.approx(
    states['error'].mean(), abs=error / 4
  )
  assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.1)
  narrow = bootstrap.make_intervals(
    states, mean_and_ratio, rng, ends=(0.25, 0.75)
  )['mean']
  assert low < narrow[0] < narrow[1] < high


def test_intervals_hold_the_truth_about_as_often_as_they_say():
  rng = np.random.default_rng(3)
  held = 0
  for seed in range(100):
    states = make_states(100 + seed, 60)
    low, high = bootstrap.make_intervals(states, mean_and_ratio, rng)['mean']
    held += low < 3.0 < high
  assert 86 <= held <= 99


def test_pairs_share_their_hard_examples():
  before = make_states(2, 80)
  after = {**before, 'error': before['error'] - np.float32(0.1)}
  rng = np.random.default_rng(0)
  paired = bootstrap.make_paired_intervals(before, after, mean_and_ratio, rng)
  assert paired['mean'] == pytest.approx((-0.1, -0.1), rel=1e-4)
  assert paired['share'] == (0.0, 0.0)
  alone = bootstrap.make_intervals(before, mean_and_ratio, rng)['mean']
  assert alone[1] - alone[0] > 0.2
  with pytest.raises(ValueError, match='one number of examples'):
    fewer = {name: state[:-1] for name, state in after.items()}
    bootstrap.make_paired_intervals(before, fewer, mean_and_ratio, rng)


def test_paired_is_of_the_difference_in_every_draw():
  before, after = make_states(4), make_states(5)
  got = bootstrap.make_paired_intervals(
    before, after, mean_and_ratio, np.random.default_rng(7), resamples=30
  )
  weights = np.random.default_rng(7).multinomial(50, [1 / 50] * 50, size=30)
  change = weights @ (after['error'] - before['error']).astype(np.float64) / 50
  want = tuple(np.quantile(change, [0.025, 0.975]))
  assert got['mean'] == pytest.approx(want, abs=1e-7)


@pytest.mark.parametrize('value', [2**31 - 1, 2**55 + 1])
def test_counts_are_summed_exactly(value):
  large = np.full((3, 2), value)
  seen = []

  def summarize(states):
    seen.append(states['large'])
    return {'excess': float(states['large'][0] - 3 * value)}

  rng = np.random.default_rng(0)
  got = bootstrap.make_intervals({'large': large}, summarize, rng)
  assert got['excess'] == (0.0, 0.0)
  assert all(x.dtype == np.int64 for x in seen)


def test_undefined_draws_are_left_out():
  states = make_states(6, 4)
  states['count'][1:] = 0
  rng = np.random.default_rng(0)
  low, high = bootstrap.make_intervals(states, mean_and_ratio, rng)['mean']
  assert np.isfinite([low, high]).all()
  states['count'][:] = 0
  got = bootstrap.make_intervals(states, mean_and_ratio, rng)
  assert np.isnan(got['mean']).all() and np.isfinite(got['share']).all()
  one = make_states(7, 1)
  low, high = bootstrap.make_intervals(one, mean_and_ratio, rng)['mean']
  assert low == high == pytest.approx(float(one['error'][0]))
  with pytest.raises(ValueError, match='one number of examples'):
    none = {name: state[:0] for name, state in one.items()}
    bootstrap.make_intervals(none, mean_and_ratio, rng)


def test_independent_intervals_subtract_as_normal_ones_do():
  # Of normal values the variances add up: 3, 4 and 5 are half widths.
  old, new = (1.0, (-2.0, 4.0)), (2.0, (-2.0, 6.0))
  low, high = bootstrap.subtract_intervals(old, new)
  assert (low, high) == pytest.approx((1 - 5, 1 + 5))
  # A lopsided one is so the other way around where it is subtracted.
  certain = (0.0, (0.0, 0.0))
  assert bootstrap.subtract_intervals((1.0, (0.5, 3.0)), certain) == (-3, -0.5)
