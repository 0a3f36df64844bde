"""Semantic mIoU, and cIoU, gIoU and precision of referring masks."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Int

# Precision thresholds of referring masks, in tenths so that they are exact.
_TENTHS = (5, 6, 7, 8, 9)


def entries_to_classes(
  entries: Int[ArrayLike, 'b h w'], entry_class: Int[ArrayLike, 'b q']
) -> Int[Array, 'b h w']:
  """Class ids of legend entries; an entry outside 0..q-1 has class -1.

  `entry_class` is each example's legend: -1 for entries that are no class
  (background, padding).
  """
  listed = (entries >= 0) & (entries < entry_class.shape[-1])
  index = jnp.where(listed, entries, 0)
  classes = jax.vmap(lambda legend, i: legend[i])(entry_class, index)
  return jnp.where(listed, classes, -1)


def confusion(
  prediction: Int[ArrayLike, 'b h w'],
  truth: Int[ArrayLike, 'b h w'],
  *,
  num_classes: int,
  where: Bool[ArrayLike, '... h w'] | bool = True,
  valid: Bool[ArrayLike, 'b'] | bool = True,
) -> Int[Array, 'b {num_classes}+1 {num_classes}+1']:
  """Pixels of each true (row) and predicted (column) class id, an example.

  Ids outside 0..num_classes-1 are "no class", the last row and column. Pixels
  to ignore altogether are left out by `where`.
  """
  counted = jnp.asarray(where) & jnp.asarray(valid)[..., None, None]
  counted = jnp.broadcast_to(counted, truth.shape).astype(jnp.int32)

  def listed(ids):
    ids = jnp.asarray(ids, jnp.int32)  # in uint8, no number stands for none
    return jnp.where((ids >= 0) & (ids < num_classes), ids, num_classes)

  def count_pairs(truth, prediction, counted):
    matrix = jnp.zeros((num_classes + 1, num_classes + 1), jnp.int32)
    return matrix.at[truth, prediction].add(counted)

  return jax.vmap(count_pairs)(listed(truth), listed(prediction), counted)


def semantic_states(
  prediction: Int[ArrayLike, 'b h w'],
  truth: Int[ArrayLike, 'b h w'],
  *,
  num_classes: int,
  where: Bool[ArrayLike, '... h w'] | bool = True,
  valid: Bool[ArrayLike, 'b'] | bool = True,
) -> dict[str, Array]:
  """Intersections and unions an example and class id.

  Where the truth is "no class" (see `confusion`), any predicted class is a
  false positive; where the prediction is, the true class is missed.

  Source: the Cityscapes evaluation (one matrix for the data set).
  """
  matrix = confusion(
    prediction, truth, num_classes=num_classes, where=where, valid=valid
  )
  intersection = jnp.diagonal(matrix, axis1=1, axis2=2)[:, :-1]
  truth_area = matrix.sum(axis=2)[:, :-1]
  prediction_area = matrix.sum(axis=1)[:, :-1]
  return {
    'intersection': intersection,
    'union': truth_area + prediction_area - intersection,
    'truth_area': truth_area,
  }


def summarize_semantic(states: Mapping[str, ArrayLike]) -> dict[str, float]:
  """miou over the classes met in truth or prediction, and pixel_accuracy.

  A class in neither is skipped; a class in one of them only counts 0. The
  accuracy is over pixels of true classes. nan where nothing was counted.
  """
  intersection = np.asarray(states['intersection'], np.float64)
  iou = class_iou(states)
  truth_area = float(np.sum(states['truth_area']))
  met = ~np.isnan(iou)
  return {
    'miou': float(iou[met].mean()) if met.any() else float('nan'),
    'pixel_accuracy': float(intersection.sum()) / truth_area
    if truth_area
    else float('nan'),
  }


def class_iou(states: Mapping[str, ArrayLike]) -> np.ndarray:
  """IoU of every class id from summed states; nan for a class never met."""
  intersection = np.asarray(states['intersection'], np.float64)
  union = np.asarray(states['union'], np.float64)
  return np.where(union > 0, intersection / np.maximum(union, 1), np.nan)


def referring_states(
  prediction: Bool[ArrayLike, '*b h w'],
  truth: Bool[ArrayLike, '*b h w'],
  *,
  no_target: Bool[ArrayLike, '*b'] | None = None,
  min_pixels: int = 1,
  where: Bool[ArrayLike, '... h w'] | bool = True,
  valid: Bool[ArrayLike, '...'] | bool = True,
) -> dict[str, Array]:
  """Overlap of one mask a phrase; both empty is an IoU of 1.

  Leading axes may be several: sum over them. A phrase all of whose pixels are
  ignored is not counted. Where neither mask has a pixel left, the IoU is 1.

  Args:
    prediction, truth: masks of the phrases.
    no_target: phrases that denote nothing. Where None, those whose true mask
      has no pixel left by `where`.
    min_pixels: a prediction of fewer pixels, ignored ones among them, says
      that there is no target. It gets an IoU of 1 and adds nothing to the
      union where that is right, else an IoU of 0 and its full union.
    where, valid: pixels and phrases that count.

  Source: cIoU and gIoU of LISA; no-target rules of gRefCOCO (ReLA).
  """
  prediction, truth = (jnp.asarray(x, bool) for x in (prediction, truth))
  counted = jnp.broadcast_to(jnp.asarray(where), truth.shape)

  def area(mask):
    return jnp.sum(mask, axis=(-2, -1), dtype=jnp.int32)

  intersection = area(prediction & truth & counted)
  union = area((prediction | truth) & counted)
  valid = jnp.asarray(valid) & counted.any(axis=(-2, -1))
  if no_target is None:
    no_target = area(truth & counted) == 0
  silent = area(prediction) < min_pixels
  untouched = union == 0
  right_silence = (silent | untouched) & no_target
  intersection = jnp.where(valid & ~no_target & ~silent, intersection, 0)
  union = jnp.where(valid & ~right_silence, union, 0)
  target = valid & ~jnp.asarray(no_target)
  states = {
    'phrases': valid,
    'intersection': intersection,
    'union': union,
    'no_target': valid & no_target,
    'no_target_empty': valid & right_silence,
    'target': target,
    'target_answered': target & (~silent | untouched),
  }
  for tenths in _TENTHS:
    hit = (10 * intersection >= tenths * union) & valid
    states[f'iou_0.{tenths}'] = hit
    states[f'target_iou_0.{tenths}'] = hit & target
  overlap = intersection / jnp.maximum(union, 1)
  return {
    'iou': jnp.where(valid & (union == 0), 1.0, overlap),
    **{name: state.astype(jnp.int32) for name, state in states.items()},
  }


def summarize_referring(states: Mapping[str, ArrayLike]) -> dict[str, float]:
  """ciou, giou, precision_0.5 .. 0.9 and accuracies, all in [0, 1].

  cIoU = total intersection / total union; gIoU = mean IoU over phrases.
  precision_* is over all phrases, target_precision_* over those that denote
  something. no_target_accuracy (N-acc) is the share of phrases without a
  target that were answered so, target_accuracy (T-acc) that of phrases with
  one that were answered with a mask. nan where nothing was counted.
  """

  def share(part, whole):
    whole = float(states[whole])
    return float(states[part]) / whole if whole else float('nan')

  scores = {
    'ciou': share('intersection', 'union'),
    'giou': share('iou', 'phrases'),
    'no_target_accuracy': share('no_target_empty', 'no_target'),
    'target_accuracy': share('target_answered', 'target'),
  }
  for t in (f'0.{tenths}' for tenths in _TENTHS):
    scores[f'precision_{t}'] = share(f'iou_{t}', 'phrases')
    scores[f'target_precision_{t}'] = share(f'target_iou_{t}', 'target')
  return scores
