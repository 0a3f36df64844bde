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


def semantic_states(
  prediction: Int[ArrayLike, 'b h w'],
  truth: Int[ArrayLike, 'b h w'],
  *,
  num_classes: int,
  where: Bool[ArrayLike, 'b h w'] | bool = True,
  valid: Bool[ArrayLike, 'b'] | bool = True,
) -> dict[str, Array]:
  """Intersections and unions an example and class id.

  Ids outside 0..num_classes-1 are "no class": where the truth is one, any
  predicted class is a false positive; where the prediction is one, the true
  class is missed. Pixels to ignore altogether are left out by `where`.

  Source: the Cityscapes evaluation (one matrix for the data set).
  """
  counted = jnp.broadcast_to(jnp.asarray(where), truth.shape)
  counted &= jnp.asarray(valid)[..., None, None]

  def areas(ids, kept):
    # Class `num_classes` collects what is not counted.
    listed = kept & (ids >= 0) & (ids < num_classes)
    index = jnp.where(listed, ids, num_classes)
    return jnp.zeros(num_classes + 1, jnp.int32).at[index].add(1)[:-1]

  areas = jax.vmap(areas)
  correct = counted & (prediction == truth)
  intersection = areas(truth, correct)
  truth_area = areas(truth, counted)
  union = truth_area + areas(prediction, counted) - intersection
  return {
    'intersection': intersection,
    'union': union,
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
  where: Bool[ArrayLike, '... h w'] | bool = True,
  valid: Bool[ArrayLike, '...'] | bool = True,
) -> dict[str, Array]:
  """Overlap of one mask a phrase; both empty is an IoU of 1.

  Leading axes may be more than one (phrases of an example): sum over them.

  Source: cIoU and gIoU of LISA, precision and no-target accuracy of ReLA.
  """
  prediction = jnp.asarray(prediction, bool)
  truth = jnp.asarray(truth, bool)
  valid = jnp.asarray(valid)
  counted = jnp.asarray(where) & valid[..., None, None]

  def area(mask):
    return jnp.sum(mask & counted, axis=(-2, -1), dtype=jnp.int32)

  intersection = area(prediction & truth)
  union = area(prediction | truth)
  no_target = valid & (area(truth) == 0)
  both_empty = valid & (union == 0)
  iou = jnp.where(both_empty, 1.0, intersection / jnp.maximum(union, 1))
  states = {
    'phrases': jnp.broadcast_to(valid, union.shape).astype(jnp.int32),
    'intersection': intersection,
    'union': union,
    'iou': iou,
    'no_target': no_target.astype(jnp.int32),
    'no_target_empty': both_empty.astype(jnp.int32),
  }
  for tenths in _TENTHS:
    hit = (10 * intersection >= tenths * union) & valid
    states[f'iou_0.{tenths}'] = hit.astype(jnp.int32)
  return states


def summarize_referring(states: Mapping[str, ArrayLike]) -> dict[str, float]:
  """ciou, giou, precision_0.5 .. 0.9 and no_target_accuracy, all in [0, 1].

  cIoU = total intersection / total union; gIoU = mean IoU over phrases. nan
  where nothing was counted.
  """

  def share(part, whole):
    whole = float(states[whole])
    return float(states[part]) / whole if whole else float('nan')

  return {
    'ciou': share('intersection', 'union'),
    'giou': share('iou', 'phrases'),
    **{
      f'precision_0.{tenths}': share(f'iou_0.{tenths}', 'phrases')
      for tenths in _TENTHS
    },
    'no_target_accuracy': share('no_target_empty', 'no_target'),
  }
