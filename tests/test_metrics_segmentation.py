"""Semantic and referring metrics against stored results and recomputations."""

import functools
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from forms import assert_same_in_all_forms

from vbanana_jax.metrics import segmentation

ORACLES = Path(__file__).parent / 'oracles'
SEMANTIC = np.load(ORACLES / 'semantic.npz')
REFERRING = np.load(ORACLES / 'referring.npz')
WANT = json.loads((ORACLES / 'referring.json').read_text())
semantic_of = jax.jit(
  functools.partial(segmentation.semantic_states, num_classes=19)
)
referring_of = jax.jit(
  segmentation.referring_states, static_argnames='min_pixels'
)


def summed(states):
  return {
    key: np.asarray(value, np.float64).sum(0) for key, value in states.items()
  }


def semantic_golden(pred, rows=slice(None)):
  gt = SEMANTIC['gt'][rows].astype(np.int32)
  pred = pred[rows].astype(np.int32)
  return summed(semantic_of(pred, gt, where=gt != 255))


def test_semantic_equals_cityscapes():
  states = semantic_golden(SEMANTIC['pred'])
  matrix = SEMANTIC['confusion']
  np.testing.assert_array_equal(states['intersection'], np.diag(matrix))
  np.testing.assert_array_equal(states['truth_area'], matrix.sum(1))
  iou = segmentation.class_iou(states)
  np.testing.assert_allclose(iou, SEMANTIC['iou'], rtol=1e-12)
  got = segmentation.summarize_semantic(states)
  np.testing.assert_allclose(got['miou'], SEMANTIC['miou'], rtol=1e-12)
  accuracy = SEMANTIC['pixel_accuracy']
  np.testing.assert_allclose(got['pixel_accuracy'], accuracy, rtol=1e-12)


def test_no_class_sent_to_class_0_gains_false_positives():
  pred = np.where(SEMANTIC['pred'] == 255, 0, SEMANTIC['pred'])
  iou = segmentation.class_iou(semantic_golden(pred))
  np.testing.assert_allclose(iou, SEMANTIC['iou_void_as_class0'], rtol=1e-12)


@pytest.mark.parametrize('void', [255, 0])
def test_confusion_equals_cityscapes(void):
  gt = SEMANTIC['gt'].astype(np.int32)
  pred = np.where(SEMANTIC['pred'] == 255, void, SEMANTIC['pred'])
  matrix = segmentation.confusion(
    pred.astype(np.int32), gt, num_classes=19, where=gt != 255
  ).sum(0)
  want = SEMANTIC['confusion_void_as_class0' if void == 0 else 'confusion']
  np.testing.assert_array_equal(matrix[:19, : want.shape[1]], want)
  assert matrix.sum() == want.sum()


@pytest.mark.parametrize('seed', [0, 1, 2])
def test_semantic_equals_a_recomputation(seed):
  rng = np.random.default_rng(seed)
  # Ids below 0 and beyond the table, and classes that are never met.
  truth = rng.integers(-1, 17, (4, 48, 64), dtype=np.int32)
  noise = rng.integers(-2, 21, truth.shape, dtype=np.int32)
  prediction = np.where(rng.random(truth.shape) < 0.5, truth, noise)
  where = rng.random(truth.shape) < 0.8
  states = summed(semantic_of(prediction, truth, where=where))
  iou = []
  for k in range(19):
    p, g = (prediction == k) & where, (truth == k) & where
    iou.append((p & g).sum() / (p | g).sum())
  np.testing.assert_allclose(segmentation.class_iou(states), iou, rtol=1e-12)
  got = segmentation.summarize_semantic(states)
  assert got['miou'] == pytest.approx(np.mean(iou), rel=1e-12)


def test_semantic_same_in_all_forms():
  rng = np.random.default_rng(0)
  prediction, truth = rng.integers(-1, 6, (2, 4, 6, 8), dtype=np.int32)

  def states_fn(prediction, truth, where, valid):
    return segmentation.semantic_states(
      prediction, truth, num_classes=5, where=where, valid=valid
    )

  where = rng.random(truth.shape) < 0.8
  assert_same_in_all_forms(states_fn, (prediction, truth, where))


def test_background_is_no_class_but_costs_false_positives():
  truth = np.int32([[[3, 3, -1, -1]]])
  prediction = np.int32([[[3, -1, 3, 7]]])
  states = summed(semantic_of(prediction, truth))
  iou = segmentation.class_iou(states)
  assert iou[3] == pytest.approx(1 / 3) and iou[7] == 0
  assert np.isnan(iou).sum() == 17
  got = segmentation.summarize_semantic(states)
  assert got == {'miou': pytest.approx(1 / 6), 'pixel_accuracy': 0.5}


def test_legend_entries_become_class_ids_by_example():
  entries = np.int32([[[0, 1, 2, -1, 9]], [[0, 1, 2, 0, 1]]])
  legends = np.int32([[4, -1, 2], [1, 0, 3]])
  got = jax.jit(segmentation.entries_to_classes)(entries, legends)
  np.testing.assert_array_equal(got, [[[4, -1, 2, -1, -1]], [[1, 0, 3, 1, 0]]])


def test_referring_equals_the_oracle():
  gt = REFERRING['gt']
  states = referring_of(REFERRING['pred'] == 1, gt == 1, where=gt != 255)
  np.testing.assert_array_equal(states['intersection'], WANT['intersection'])
  np.testing.assert_array_equal(states['union'], WANT['union'])
  np.testing.assert_allclose(states['iou'], WANT['iou'], rtol=1e-6)
  got = segmentation.summarize_referring(summed(states))
  assert got['ciou'] == pytest.approx(WANT['ciou'], rel=1e-12)
  assert got['giou'] == pytest.approx(WANT['mean_iou'], rel=1e-7)
  for t in (0.5, 0.6, 0.7, 0.8, 0.9):
    assert got[f'precision_{t}'] == pytest.approx(WANT[f'precision@{t}'])


@pytest.mark.parametrize('floor', [1, 50])
def test_no_target_rules_equal_the_oracle(floor):
  gt = REFERRING['gt']
  # Row 7, whose mask is all "ignore", denotes something by the annotation.
  states = referring_of(
    REFERRING['pred'] == 1,
    gt == 1,
    where=gt != 255,
    no_target=(gt == 0).all((1, 2)),
    min_pixels=floor,
  )
  got = segmentation.summarize_referring(summed(states))
  want = WANT[f'gres_min_area_{floor}']
  assert got['ciou'] == pytest.approx(want['ciou'], rel=1e-12)
  assert got['giou'] == pytest.approx(want['giou'], rel=1e-7)
  assert got['no_target_accuracy'] == pytest.approx(want['n_acc'], rel=1e-12)
  assert got['target_accuracy'] == pytest.approx(want['t_acc'], rel=1e-12)


def draw_masks(seed, shape=(16, 32, 40)):
  """Boxes, some missing on one side or both, and ignored pixels."""
  rng = np.random.default_rng(seed)
  masks = np.zeros((2, *shape), bool)
  for i in range(shape[0]):
    y, x = rng.integers(0, shape[1] // 2), rng.integers(0, shape[2] // 2)
    h, w = rng.integers(1, shape[1] // 2), rng.integers(1, shape[2] // 2)
    for mask in masks:
      dy, dx = rng.integers(0, 3, 2)
      if rng.random() > 0.3:
        mask[i, y + dy : y + dy + h, x + dx : x + dx + w] = True
  return *masks, rng.random(shape) < 0.9


@pytest.mark.parametrize('seed', [0, 1, 2])
def test_referring_equals_a_recomputation(seed):
  pred, truth, where = draw_masks(seed)
  none = ~(truth.any((1, 2)))
  floor = 50
  states = referring_of(
    pred, truth, where=where, no_target=none, min_pixels=floor
  )
  ious, inside, around, right, answered = [], 0, 0, 0, 0
  for p, g, kept in zip(pred, truth, where):
    silent = p.sum() < floor
    intersection, union = (p & g & kept).sum(), ((p | g) & kept).sum()
    if not g.any():
      ious.append(float(silent))
      around += 0 if silent else union
      right += silent
      continue
    answered += not silent
    # With all of both masks ignored there is nothing to get wrong.
    iou = intersection / union if union else 1.0
    ious.append(0.0 if silent and union else iou)
    inside += 0 if silent else intersection
    around += union
  ious = np.asarray(ious)
  got = segmentation.summarize_referring(summed(states))
  assert got['giou'] == pytest.approx(ious.mean(), rel=1e-6)
  assert got['ciou'] == pytest.approx(inside / around, rel=1e-12)
  assert got['no_target_accuracy'] == pytest.approx(right / none.sum())
  assert got['target_accuracy'] == pytest.approx(answered / (~none).sum())
  for t in (0.5, 0.7, 0.9):
    hits = ious >= t
    assert got[f'precision_{t}'] == pytest.approx(hits.mean())
    hits = hits[~none]
    assert got[f'target_precision_{t}'] == pytest.approx(hits.mean())


def test_referring_same_in_all_forms():
  def states_fn(pred, truth, where, valid):
    return segmentation.referring_states(
      pred, truth, where=where, valid=valid, min_pixels=4
    )

  assert_same_in_all_forms(states_fn, draw_masks(3, (4, 8, 8)))


def test_referring_perfect_empty_and_invalid():
  mask = np.zeros((3, 2, 4, 4), bool)
  mask[0, :, :2] = True
  valid = np.asarray([[True, True], [True, False], [False, False]])
  states = referring_of(mask, mask, valid=valid)
  np.testing.assert_array_equal(states['phrases'], valid)
  np.testing.assert_array_equal(states['iou'], valid)
  total = {key: np.sum(value) for key, value in states.items()}
  got = segmentation.summarize_referring(total)
  assert set(got.values()) == {1.0}
  assert total['no_target'] == 1
  nothing = {key: 0 * value for key, value in total.items()}
  got = segmentation.summarize_referring(nothing)
  assert np.isnan(list(got.values())).all()
