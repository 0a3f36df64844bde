"""Scores of examples survive the disk, and runs are compared by them."""

import numpy as np
import pytest

from vbanana_jax.errors import UserError
from vbanana_jax.evaluation import example_scores
from vbanana_jax.tasks import TASKS


def make_states(rng, offset, n=40):
  """Errors of depth that differ much between examples, little between runs."""
  hard = rng.uniform(0.1, 5.0, n).astype(np.float32)
  pixels = np.full(n, 100, np.int32)
  depth = TASKS['depth']
  zeros = {'depth_m': np.full((1, 4, 4), 2.0, np.float32)}
  aux = {**zeros, 'valid_px': np.ones((1, 4, 4), bool)}
  prediction = {**zeros, 'distance': np.zeros((1, 4, 4), np.float32)}
  names = depth.score(prediction, aux, np.ones(1, bool))
  states = {}
  for name, state in names.items():
    state = np.asarray(state)
    whole = state.dtype.kind in 'iub'
    states[name] = pixels if whole else (hard + offset) * pixels
  return states


def test_what_was_saved_comes_back(tmp_path):
  path = tmp_path / 'example_scores.npz'
  states = {'depth': make_states(np.random.default_rng(0), 0.0), 'edit@16': {
    'mae': np.arange(3.0)}}  # fmt: skip
  example_scores.save_states(path, states)
  found = example_scores.load_states(path)
  assert found.keys() == states.keys()
  for trial, each in states.items():
    for name, state in each.items():
      np.testing.assert_array_equal(found[trial][name], state)
      assert found[trial][name].dtype == state.dtype
  assert example_scores.load_states(tmp_path / 'none.npz') == {}
  for content in (b'', path.read_bytes()[:-60]):
    path.write_bytes(content)
    with pytest.raises(UserError, match='damaged'):
      example_scores.load_states(path)


def test_the_same_examples_tell_small_differences_apart():
  before = make_states(np.random.default_rng(0), 0.0)
  after = make_states(np.random.default_rng(0), 0.05)
  found = example_scores.find_paired_intervals('depth', before, after)
  low, high = found['abs_rel']
  assert low == pytest.approx(0.05, abs=1e-3)
  assert high == pytest.approx(0.05, abs=1e-3)
  fewer = {name: state[:-1] for name, state in after.items()}
  assert example_scores.find_paired_intervals('depth', before, fewer) == {}
  assert example_scores.find_paired_intervals('depth', {}, after) == {}
