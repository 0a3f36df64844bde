"""Panoptic quality against stored results, a recomputation, and rules."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from forms import assert_same_in_all_forms

from vbanana_jax.metrics import panoptic

ORACLES = Path(__file__).parent / 'oracles'
GOLDEN = np.load(ORACLES / 'panoptic.npz')
WANT = json.loads((ORACLES / 'panoptic.json').read_text())
SEGMENTS = 10
TALLIES = ('tp', 'fp', 'fn')


def summed(states):
  return {
    key: np.asarray(value, np.float64).sum(0) for key, value in states.items()
  }


def number(ids, segments):
  """Ids 1, 2, ... in the listed order, and the fixed-size tables of a list."""
  numbered = np.zeros(ids.shape, np.int32)
  categories = np.full((len(ids), SEGMENTS), -1, np.int32)
  crowd = np.zeros((len(ids), SEGMENTS), bool)
  for row, listed in enumerate(segments):
    for index, (name, segment) in enumerate(listed.items()):
      numbered[row][ids[row] == int(name)] = index + 1
      categories[row, index] = segment['category'] - 1
      crowd[row, index] = segment.get('iscrowd', 0)
  return numbered, categories, crowd


def golden():
  pred, pred_category, _ = number(GOLDEN['pred'], WANT['pred_segments'])
  truth, category, crowd = number(GOLDEN['gt'], WANT['gt_segments'])
  return pred, truth, pred_category, category, crowd


def states_fn(pred, truth, pred_category, category, crowd, k=5, **options):
  return panoptic.panoptic_states(
    pred,
    truth,
    prediction_category=pred_category,
    truth_category=category,
    truth_crowd=crowd,
    num_categories=k,
    **options,
  )


states_of = jax.jit(states_fn, static_argnames='k')


def draw(seed, rows=4):
  """Overlapping boxes of three categories, with voids, crowds and misses."""
  rng = np.random.default_rng(seed)
  truth = np.zeros((rows, 20, 24), np.int32)
  pred = np.zeros_like(truth)
  category = rng.integers(0, 3, (rows, SEGMENTS), dtype=np.int32)
  pred_category = np.where(
    rng.random(category.shape) < 0.8, category, 2 - category
  ).astype(np.int32)
  crowd = rng.random(category.shape) < 0.25
  for i in range(rows):
    for k in rng.permutation(SEGMENTS):
      y, x = rng.integers(0, 16, 2)
      h, w = rng.integers(2, 9, 2)
      truth[i, y : y + h, x : x + w] = k + 1
      y, x = y + rng.integers(0, 2), x + rng.integers(0, 2)
      pred[i, y : y + h, x : x + w] = k + 1
  return pred, truth, pred_category, category, crowd


def recompute(pred, truth, pred_category, category, crowd):
  """One image by the book: tp, fp, fn and IoU of three categories."""
  got = {key: np.zeros(3) for key in (*TALLIES, 'iou')}
  true = [g for g in range(1, SEGMENTS + 1) if (truth == g).any()]
  found = [p for p in range(1, SEGMENTS + 1) if (pred == p).any()]
  matched = set()
  for g in true:
    kind = category[g - 1]
    if crowd[g - 1]:
      continue
    hit = False
    for p in found:
      both = np.sum((pred == p) & (truth == g))
      union = np.sum((pred == p) & (truth != 0)) + np.sum(truth == g) - both
      if pred_category[p - 1] == kind and both / union > 0.5:
        got['tp'][kind] += 1
        got['iou'][kind] += both / union
        matched.add(p)
        hit = True
    got['fn'][kind] += not hit
  for p in set(found) - matched:
    kind = pred_category[p - 1]
    excused = truth[pred == p] == 0
    crowds = [
      g
      for g in range(1, SEGMENTS + 1)
      if crowd[g - 1] and category[g - 1] == kind
    ]
    if crowds:
      excused |= truth[pred == p] == crowds[-1]
    got['fp'][kind] += excused.mean() <= 0.5
  return got


def test_equals_the_oracle():
  states = summed(states_of(*golden()))
  for name, want in WANT['per_class'].items():
    row = int(name) - 1
    assert [states[key][row] for key in TALLIES] == [want[k] for k in TALLIES]
    assert states['iou'][row] == pytest.approx(want['iou_sum'], rel=1e-6)
  assert states['overflow'] == 0
  things = [bool(WANT['categories'][str(i + 1)]) for i in range(5)]
  got = panoptic.summarize_panoptic(states, is_thing=things)
  for prefix, group in (
    ('', 'All'),
    ('things_', 'Things'),
    ('stuff_', 'Stuff'),
  ):
    for name in ('pq', 'sq', 'rq'):
      want = WANT['result'][group][name]
      assert got[prefix + name] == pytest.approx(want, rel=1e-6)


@pytest.mark.parametrize('seed', range(6))
def test_equals_a_recomputation(seed):
  drawn = draw(seed)
  states = states_of(*drawn, k=3)
  for row in range(4):
    want = recompute(*(x[row] for x in drawn))
    for key in TALLIES:
      np.testing.assert_array_equal(states[key][row], want[key], key)
    np.testing.assert_allclose(states['iou'][row], want['iou'], rtol=1e-6)


def test_same_in_all_forms():
  want = assert_same_in_all_forms(states_fn, draw(7), k=3)
  assert want['tp'].sum() and want['fp'].sum() and want['fn'].sum()


def test_perfect_and_empty_predictions():
  _, truth, _, category, crowd = golden()
  none = np.zeros_like(crowd)
  things = [True, True, False, False, True]
  perfect = summed(states_of(truth, truth, category, category, none))
  got = panoptic.summarize_panoptic(perfect, is_thing=things)
  assert set(got.values()) == {1.0}
  empty = summed(states_of(0 * truth, truth, category, category, none))
  np.testing.assert_array_equal(empty['fn'], perfect['tp'])
  got = panoptic.summarize_panoptic(empty, is_thing=things)
  assert set(got.values()) == {0.0}
  nothing = {key: 0 * value for key, value in empty.items()}
  got = panoptic.summarize_panoptic(nothing, is_thing=things)
  assert np.isnan(list(got.values())).all()


def test_order_of_segments_changes_nothing_but_which_crowd_is_last():
  pred, truth, pred_category, category, _ = draw(8)
  none = np.zeros(category.shape, bool)
  order = np.random.default_rng(0).permutation(SEGMENTS)
  moved = np.append(0, np.argsort(order) + 1).astype(np.int32)
  want = states_of(pred, truth, pred_category, category, none, k=3)
  got = states_of(
    moved[pred], moved[truth], pred_category[:, order], category[:, order],
    none, k=3,
  )  # fmt: skip
  for key, value in want.items():
    np.testing.assert_allclose(got[key], value, rtol=1e-6)


def test_ids_beyond_the_tables_are_flagged():
  pred, truth, *tables = draw(9)
  pred[1, 0, 0] = SEGMENTS + 1
  truth[2, 3, 3] = 4000
  got = states_of(pred, truth, *tables, k=3)
  np.testing.assert_array_equal(got['overflow'], [0, 1, 1, 0])
  valid = np.asarray([True, False, True, True])
  got = states_of(pred, truth, *tables, valid=valid, k=3)
  np.testing.assert_array_equal(got['overflow'], [0, 0, 1, 0])
