"""Instance matching and the SA-Co family against its evaluator; invariances."""

import functools
import json
from pathlib import Path

import jax
import numpy as np
import pytest
import scipy.optimize
from forms import assert_same_in_all_forms

from vbanana_jax.benchmark.readers import rle
from vbanana_jax.metrics import instances

ORACLES = Path(__file__).parent / 'oracles'
GOLDEN = json.loads((ORACLES / 'saco_cgf1.json').read_text())
mask_states_of = jax.jit(instances.instance_mask_states)
_states_of = jax.jit(
  functools.partial(instances.instance_states, max_instances=6)
)
_saco_states_of = jax.jit(
  functools.partial(instances.saco_states, max_predictions=6)
)
# Our names of the evaluator's results.
TABLES = {
  'precision': 'precision',
  'recall': 'recall',
  'f1': 'F1',
  'positive_precision': 'positive_micro_precision',
  'pmf1': 'positive_micro_F1',
  'positive_macro_f1': 'positive_macro_F1',
  'cgf1': 'cgF1',
}
NAMES = {
  **{
    ours + our_row: theirs + row
    for ours, theirs in TABLES.items()
    for our_row, row in (('', ''), ('_0.5', '@0.5'), ('_0.75', '@0.75'))
  },
  'il_precision': 'IL_precision',
  'il_recall': 'IL_recall',
  'il_f1': 'IL_F1',
  'il_fpr': 'IL_FPR',
  'il_mcc': 'IL_MCC',
}


def whole(ids, where, valid):
  """Arrays in place of defaults, so that one compilation serves all tests."""
  where = np.ones(ids.shape, bool) if where is None else where
  return {
    'where': where,
    'valid': np.ones(len(ids), bool) if valid is None else valid,
  }


def states_of(prediction, truth, *, where=None, valid=None):
  return _states_of(prediction, truth, **whole(prediction, where, valid))


def saco_states_of(prediction, masks, crowd, *, where=None, valid=None):
  options = whole(prediction, where, valid)
  return _saco_states_of(prediction, masks, crowd, **options)


def stack(masks, shape, k=8):
  stacked = np.zeros((k, *shape), bool)
  for i, mask in enumerate(masks):
    height, width = mask['size']
    stacked[i, :height, :width] = rle.decode_rle(
      mask, height, width, name='golden'
    )
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
  """States of the oracle's queries and annotators; the last is its trap."""
  shape = (GOLDEN['queries'][0]['height'], GOLDEN['queries'][0]['width'])
  rows = []
  for query in GOLDEN['queries']:
    kept = [p for p in query['predictions'] if p['score'] >= 0.5]
    for truth in query['annotators']:
      rows.append(([p['segmentation'] for p in kept], truth))
  trap = GOLDEN['matching_trap']
  rows.append((trap['predictions'], trap['ground_truth']))
  prediction, truth = zip(*rows)
  states = mask_states_of(
    np.stack([stack(masks, shape) for masks in prediction]),
    np.stack([stack(masks, shape) for masks in truth]),
  )
  return {name: np.asarray(state) for name, state in states.items()}


def golden_annotators(best_of_three):
  """Per-item states of the items whose annotators were all exhaustive."""
  flags = [query['is_instance_exhaustive'] for query in GOLDEN['queries']]
  if best_of_three:
    kept, last = np.asarray(flags).all(1), 3
  else:
    kept, last = np.asarray(flags)[:, 0] > 0, 1
  by_annotator = {
    name: state[:-1].reshape(30, 3, *state.shape[1:])[kept, :last]
    for name, state in golden_states().items()
  }
  return {
    'items': by_annotator['items'][:, 0],
    'predicted': by_annotator['predicted'][:, 0],
    'true': by_annotator['true'],
    'tp': by_annotator['tp'],
  }


@pytest.mark.parametrize('case', ['single_annotator', 'best_of_three'])
def test_equals_the_saco_evaluator(case):
  want = GOLDEN[case]
  states = golden_annotators(case == 'best_of_three')
  states = summed(instances.choose_annotators(states))
  for key in ('tp', 'fp', 'fn', 'positive_fp'):
    np.testing.assert_array_equal(states[key], want['counts'][key], key)
  for key, number in want['image_level'].items():
    assert states[f'image_{key.lower()}'] == number
  got = instances.summarize_saco(states)
  assert len(NAMES) == len(want['metrics']) == 26
  for ours, theirs in NAMES.items():
    assert got[ours] == pytest.approx(want['metrics'][theirs], abs=1e-12), ours
  assert got['items'] == sum(want['image_level'].values())
  few = instances.summarize_instances(states)
  assert few['pmf1'] == got['pmf1'] and few['pmf1_0.75'] == got['pmf1_0.75']
  for t in range(10):
    alone = {
      name: state[[t] * 10] if state.ndim else state
      for name, state in states.items()
    }
    got = instances.summarize_saco(alone)
    for ours, theirs in TABLES.items():
      golden = want['by_threshold'][theirs][t]
      assert got[ours] == pytest.approx(golden, abs=1e-12), (ours, t)


def annotations(seed, b=6, annotators=3, k=5, shape=(40, 44)):
  """Ids [b h w] of up to 6, annotators' masks that overlap, and crowds.

  Of the items, one has no answer, one no truth, and one neither.
  """
  rng = np.random.default_rng(seed)
  rows, columns = np.mgrid[: shape[0], : shape[1]]

  def disc(place, radius):
    return (rows - place[0]) ** 2 + (columns - place[1]) ** 2 <= radius**2

  ids = np.zeros((b, *shape), np.int32)
  masks = np.zeros((b, annotators, k, *shape), bool)
  for i in range(b):
    for j in range(k):
      place, radius = rng.uniform(5, 35, 2), rng.uniform(4, 10)
      ids[i][disc(place, radius)] = j + 1
      for a in range(annotators):
        if rng.random() < 0.7:
          moved = place + rng.normal(0, 1.5, 2)
          masks[i, a, j] = disc(moved, radius * rng.uniform(0.8, 1.2))
  ids[[0, 2]], masks[[1, 2]] = 0, False
  return ids, masks, rng.random((b, annotators, k)) < 0.15


def reference_item(predicted, true):
  """TP at ten thresholds from lists of masks, as the evaluator finds them."""
  tp = np.zeros(10, int)
  if predicted and true:
    iou = np.asarray(
      [[(p & t).sum() / (p | t).sum() for t in true] for p in predicted]
    )
    found = iou[scipy.optimize.linear_sum_assignment(-iou)]
    tp = np.asarray([(found >= t).sum() for t in np.linspace(0.5, 0.95, 10)])
  return tp


def reference_family(ids, masks, crowd, where):
  """pmf1, cgf1, il_mcc, precision and positive_macro_f1, item by item."""
  total = {name: 0 for name in ('tp', 'fp', 'fn', 'pfp', 'f1')}
  image = dict.fromkeys('tp tn fp fn'.split(), 0)
  for i in range(len(ids)):
    found = [(ids[i] == n) & where[i] for n in np.unique(ids[i][ids[i] > 0])]
    found = [mask for mask in found if mask.any()]
    best, best_score = None, -1.0
    for seen, ignored in zip(masks[i] & where[i], crowd[i]):
      true = [m for m, c in zip(seen, ignored) if m.any() and not c]
      tp = reference_item(found, true)
      precision = tp / (len(found) + 1e-4)
      recall = tp / (len(true) + 1e-4)
      f1 = 2 * precision * recall / (precision + recall + 1e-4)
      score = f1.mean() if found or true else 9.0
      if score > best_score:
        best, best_score = (tp, len(true), f1), score
    tp, true, f1 = best
    total['tp'] = total['tp'] + tp
    total['fp'] = total['fp'] + len(found) - tp
    total['fn'] = total['fn'] + true - tp
    if true:
      total['pfp'] = total['pfp'] + len(found) - tp
    if true and found:
      total['f1'] = total['f1'] + f1
    image[('t' if bool(true) == bool(found) else 'f') + 'np'[bool(found)]] += 1
  tp, tn, fp, fn = image.values()
  scale = ((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)) ** 0.5
  mcc = (tp * tn - fp * fn) / (scale + 1e-6)
  recall = total['tp'] / (total['tp'] + total['fn'] + 1e-4)
  precision = total['tp'] / (total['tp'] + total['fp'] + 1e-4)
  positive = total['tp'] / (total['tp'] + total['pfp'] + 1e-4)
  pmf1 = 2 * positive * recall / (positive + recall + 1e-4)
  return {
    'pmf1': pmf1.mean(),
    'pmf1_0.75': pmf1[5],
    'cgf1_0.5': mcc * pmf1[0],
    'cgf1': mcc * pmf1.mean(),
    'il_mcc': mcc,
    'precision': precision.mean(),
    'recall': recall.mean(),
    'positive_macro_f1': np.mean(total['f1'] / tp),
  }


@pytest.mark.parametrize('seed', range(6))
def test_best_of_three_equals_a_loop_over_items(seed):
  ids, masks, crowd = annotations(seed)
  where = np.ones(ids.shape, bool)
  where[:, :, :6] = False
  states = saco_states_of(ids, masks, crowd, where=where)
  got = instances.summarize_saco(summed(instances.choose_annotators(states)))
  for name, value in reference_family(ids, masks, crowd, where).items():
    assert got[name] == pytest.approx(value, abs=1e-12), name
  assert 0.1 < got['pmf1'] < 1.0 and not np.any(states['overflow'])


def test_masks_equal_id_maps_in_saco_states():
  prediction, truth = id_maps(5)
  want = states_of(prediction, truth)
  masks = truth[:, None, None] == np.arange(1, 7)[:, None, None]
  got = instances.choose_annotators(
    saco_states_of(prediction, masks, np.zeros((4, 1, 6), bool))
  )
  for name in ('tp', 'fp', 'fn', 'positive_fp', 'predicted', 'true'):
    np.testing.assert_array_equal(got[name], want[name], name)
  alone = instances.choose_annotators(want)
  for name, value in alone.items():
    np.testing.assert_array_equal(got[name], value, name)


def test_annotators_repeated_or_in_another_order_change_nothing():
  ids, masks, crowd = annotations(9)
  want, other = (
    summed(instances.choose_annotators(saco_states_of(ids, m, c)))
    for m, c in (
      (masks[:, [0, 1, 0]], crowd[:, [0, 1, 0]]),
      (masks[:, [1, 0, 1], ::-1], crowd[:, [1, 0, 1], ::-1]),
    )
  )
  np.testing.assert_allclose(other['answered_f1'], want['answered_f1'])
  assert other['image_tp'] == want['image_tp'] > 0


def test_predictions_on_a_crowd_are_false_positives():
  ids, masks, crowd = annotations(4)
  crowd[:] = True
  states = instances.choose_annotators(saco_states_of(ids, masks, crowd))
  assert not np.any(states['true']) and not np.any(states['tp'])
  np.testing.assert_array_equal(states['fp'][:, 0], states['predicted'])
  assert states['image_fp'].sum() == 4 and states['image_tn'].sum() == 2


def test_choosing_is_strict_exact_and_prefers_an_empty_agreement():
  def choose(tp, predicted, true):
    tp = np.asarray(tp)[None]
    states = {'tp': tp, 'predicted': np.asarray([predicted])}
    states |= {'true': np.asarray([true]), 'items': np.ones(1, int)}
    return instances.choose_annotators(states)

  nothing = [0] * 10
  chosen = choose([nothing, nothing, nothing], 0, [3, 0, 1])
  assert chosen['image_tn'] == 1 and not chosen['fn'].any()
  chosen = choose([nothing, nothing], 2, [3, 1])
  assert chosen['true'] == 3
  # As many TP in all; one part in 1e9 apart, less than float32 can tell.
  flat, steep = [2] * 4 + [0] * 6, [3, 3, 1, 1] + [0] * 6
  f1 = [choose([tp], 4, [4])['answered_f1'].mean() for tp in (flat, steep)]
  assert 0 < abs(f1[0] - f1[1]) < 1e-8
  better = int(np.argmax(f1))
  for order in ([flat, steep], [steep, flat]):
    chosen = choose(order, 4, [4, 4])
    np.testing.assert_array_equal(chosen['tp'][0], (flat, steep)[better])


def test_large_pictures_are_counted_exactly():
  rng = np.random.default_rng(0)
  ids = rng.integers(0, 5, (1, 150, 131)).astype(np.int32)
  masks = ids[:, None, None] == np.arange(1, 5)[:, None, None]
  masks = masks & (rng.random(masks.shape) < 0.6)
  states = saco_states_of(ids, masks, np.zeros((1, 1, 4), bool))
  iou = [masks[0, 0, n - 1].sum() / (ids == n).sum() for n in range(1, 5)]
  want = [np.sum(np.asarray(iou) >= t) for t in np.linspace(0.5, 0.95, 10)]
  np.testing.assert_array_equal(states['tp'][0, 0], want)
  assert want[0] == 4 and want[-1] == 0


def test_saco_summary_of_nothing_is_nan_and_overflow_is_told():
  ids, masks, crowd = annotations(3)
  none = saco_states_of(ids, np.zeros_like(masks), crowd)
  got = instances.summarize_saco(summed(instances.choose_annotators(none)))
  assert np.isnan([got['pmf1'], got['cgf1'], got['positive_macro_f1']]).all()
  assert got['il_mcc'] == 0 and got['il_fpr'] == pytest.approx(4 / 6, rel=1e-6)
  ids[3, 0, 0] = 7
  overflow = saco_states_of(ids, masks, crowd)['overflow']
  np.testing.assert_array_equal(overflow, [0, 0, 0, 1, 0, 0])


def test_the_same_in_all_forms():
  ids, masks, crowd = annotations(7, annotators=2, k=3)
  where = np.random.default_rng(0).random(ids.shape) < 0.9
  ids[4, 0, :] = 4

  def saco(ids, masks, crowd, where, *, valid):
    return instances.saco_states(
      ids, masks, crowd, max_predictions=3, where=where, valid=valid
    )

  states = assert_same_in_all_forms(saco, (ids, masks, crowd, where))
  assert states['tp'].max() > 2 and states['overflow'] == 1


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


def test_names_and_padding_change_nothing():
  prediction, truth = id_maps(2)
  every = states_of(prediction, truth)
  some = states_of(prediction, truth, valid=np.arange(4) < 3)
  for key, value in some.items():
    assert not np.any(value[3])
    np.testing.assert_array_equal(value[:3], every[key][:3], key)
  renamed = np.asarray([0, 3, 6, 1, 5, 2, 4], np.int32)[prediction]
  for other in (states_of(renamed, truth), states_of(truth, prediction)):
    np.testing.assert_array_equal(other['tp'], every['tp'])
  where = np.ones(truth.shape, bool)
  where[:, :, 18:] = False
  for key, value in states_of(
    np.where(where, prediction, 1), np.where(where, truth, 9), where=where
  ).items():
    want = states_of(prediction * where, truth * where)[key]
    np.testing.assert_array_equal(value, want, key)


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
