"""Semantic and referring metrics against stored results; invariances."""

import functools
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from vbanana_jax.metrics import segmentation

ORACLES = Path(__file__).parent / 'oracles'
SEMANTIC = np.load(ORACLES / 'semantic.npz')
REFERRING = np.load(ORACLES / 'referring.npz')
WANT = json.loads((ORACLES / 'referring.json').read_text())
semantic_of = jax.jit(
  functools.partial(segmentation.semantic_states, num_classes=19)
)
referring_of = jax.jit(segmentation.referring_states)


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


def test_semantic_batch_split_and_invalid_rows():
  pred = SEMANTIC['pred']
  whole = semantic_golden(pred)
  a, b = semantic_golden(pred, slice(1)), semantic_golden(pred, slice(1, None))
  gt, pred = SEMANTIC['gt'].astype(np.int32), pred.astype(np.int32)
  rows = np.asarray([0, 1, 2, 3, 3, 0])
  valid = np.arange(6) < 4
  padded = summed(
    semantic_of(pred[rows], gt[rows], where=gt[rows] != 255, valid=valid)
  )
  for key, value in whole.items():
    np.testing.assert_array_equal(a[key] + b[key], value)
    np.testing.assert_array_equal(padded[key], value)


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
  # The oracle calls row 7, whose mask is all "ignore", a target.
  rest = {key: np.delete(value, 7, 0) for key, value in states.items()}
  got = segmentation.summarize_referring(summed(rest))
  want = WANT['gres_min_area_1']['n_acc']
  assert got['no_target_accuracy'] == pytest.approx(want)


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
