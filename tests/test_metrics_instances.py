"""Instance matching and pmF1 against the SA-Co evaluator; invariances."""

import functools
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from vbanana_jax.metrics import instances

ORACLES = Path(__file__).parent / 'oracles'
GOLDEN = json.loads((ORACLES / 'saco_cgf1.json').read_text())
states_of = jax.jit(
  functools.partial(instances.instance_states, max_instances=6)
)
mask_states_of = jax.jit(instances.instance_mask_states)


def decode_rle(rle):
  """A COCO run-length mask (its compressed ASCII form) as bool [h w]."""
  runs, value, shift = [], 0, 0
  for character in rle['counts']:
    code = ord(character) - 48
    value |= (code & 31) << shift
    shift += 5
    if not code & 32:
      if code & 16:
        value -= 1 << shift
      runs.append(value + (runs[-2] if len(runs) > 2 else 0))
      value, shift = 0, 0
  flags = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
  height, width = rle['size']
  return flags.reshape(width, height).T


def stack(masks, shape, k=8):
  stacked = np.zeros((k, *shape), bool)
  for i, mask in enumerate(masks):
    height, width = mask['size']
    stacked[i, :height, :width] = decode_rle(mask)
  return stacked


def summed(states):
  return {key: np.asarray(value).sum(0) for key, value in states.items()}


def id_maps(seed=0, b=4):
  """Random rectangles: truth, and the same ones shifted and renamed."""
  rng = np.random.default_rng(seed)
  truth = np.zeros((b, 20, 24), np.int32)
  prediction = np.zeros((b, 20, 24), np.int32)
  for i in range(b):
    names = rng.permutation(6) + 1
    for k in range(rng.integers(1, 6)):
      y, x = rng.integers(0, 12, 2)
      truth[i, y : y + 8, x : x + 6] = k + 1
      y, x = np.add((y, x), rng.integers(0, 2, 2))
      prediction[i, y : y + 8, x : x + 6] = names[k]
  return prediction, truth


@functools.cache
def golden_states():
  """States of the oracle's queries and, in the last row, of its trap."""
  shape = (GOLDEN['queries'][0]['height'], GOLDEN['queries'][0]['width'])
  rows = []
  for query in GOLDEN['queries']:
    if query['is_instance_exhaustive'][0]:
      kept = [p for p in query['predictions'] if p['score'] >= 0.5]
      rows.append(([p['segmentation'] for p in kept], query['annotators'][0]))
  trap = GOLDEN['matching_trap']
  rows.append((trap['predictions'], trap['ground_truth']))
  prediction, truth = zip(*rows)
  return mask_states_of(
    np.stack([stack(masks, shape) for masks in prediction]),
    np.stack([stack(masks, shape) for masks in truth]),
  )


def test_equals_the_saco_evaluator():
  states = {key: np.asarray(v)[:-1] for key, v in golden_states().items()}
  states = summed(states)
  want = GOLDEN['single_annotator']
  for key in ('tp', 'fp', 'fn', 'positive_fp'):
    np.testing.assert_array_equal(states[key], want['counts'][key], key)
  got = instances.summarize_instances(states)
  metrics = want['metrics']
  for name, golden in (
    ('pmf1', 'positive_micro_F1'),
    ('pmf1_0.5', 'positive_micro_F1@0.5'),
    ('pmf1_0.75', 'positive_micro_F1@0.75'),
  ):
    assert got[name] == pytest.approx(metrics[golden], abs=1e-9)


def test_assignment_maximises_total_iou_not_true_positives():
  for key in ('tp', 'fp', 'fn'):
    trap = GOLDEN['matching_trap'][key]
    np.testing.assert_array_equal(golden_states()[key][-1], trap)


def test_id_maps_equal_masks():
  prediction, truth = id_maps()
  from_ids = states_of(prediction, truth)
  names = np.arange(1, 7)[:, None, None]
  from_masks = mask_states_of(
    prediction[:, None] == names, truth[:, None] == names
  )
  for key, value in from_masks.items():
    np.testing.assert_array_equal(from_ids[key], value)
  assert 0 < from_ids['tp'][:, 0].sum() < from_ids['true'].sum() * 10


def test_perfect_prediction_reaches_the_epsilon():
  _, truth = id_maps(1)
  states = summed(states_of(truth, truth))
  assert np.all(states['fp'] == 0) and np.all(states['fn'] == 0)
  n = states['true']
  share = n / (n + 1e-4)
  want = 2 * share**2 / (2 * share + 1e-4)
  got = instances.summarize_instances(states)
  assert got['pmf1'] == pytest.approx(want, abs=1e-12)


def test_permutation_batch_split_and_padding_change_nothing():
  prediction, truth = id_maps(2)
  whole = summed(states_of(prediction, truth))
  renamed = np.asarray([0, 3, 6, 1, 5, 2, 4], np.int32)[prediction]
  # Two batches whose other rows are someone else's.
  first, rest = (
    states_of(prediction[rows], truth[rows])
    for rows in ([0, 1, 1, 1], [3, 3, 2, 3])
  )
  split = {
    key: np.sum(first[key][:2], 0) + np.sum(rest[key][1:3], 0) for key in whole
  }
  valid = np.arange(6) < 4
  rows = np.asarray([0, 1, 2, 3, 0, 1])
  pad = ((0, 0), (0, 5), (0, 3))
  where = np.pad(np.ones_like(truth[rows], bool), pad)
  padded = states_of(
    np.pad(prediction[rows], pad, constant_values=1),
    np.pad(truth[rows], pad, constant_values=2),
    where=where,
    valid=valid,
  )
  for other in (
    summed(states_of(renamed, truth)),
    summed(padded),
    split,
  ):
    for key, value in whole.items():
      np.testing.assert_array_equal(other[key], value, key)


def test_negatives_and_overflow():
  prediction, truth = id_maps(3)
  nothing = np.zeros_like(truth)
  states = summed(states_of(prediction, nothing))
  assert states['fp'].min() > 0 and states['positive_fp'].max() == 0
  got = instances.summarize_instances(states)
  assert np.isnan(got['pmf1']) and got['predicted'] > 0
  truth[0, 0, 0] = 7
  states = states_of(prediction, truth)
  np.testing.assert_array_equal(states['overflow'], [1, 0, 0, 0])
