"""Panoptic quality from the overlaps of two segment-id maps."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Int


def panoptic_states(
  prediction: Int[ArrayLike, 'b h w'],
  truth: Int[ArrayLike, 'b h w'],
  *,
  prediction_category: Int[ArrayLike, 'b p'],
  truth_category: Int[ArrayLike, 'b g'],
  truth_crowd: Bool[ArrayLike, 'b g'],
  num_categories: int,
  valid: Bool[ArrayLike, 'b'] | bool = True,
) -> dict[str, Array]:
  """Matches the segments of two id maps; tallies are [b num_categories].

  Segment ids are 1..p and 1..g; 0 is undecided in the prediction and void in
  the truth. Row i - 1 of the categories is segment i; -1 (or any category
  outside the table) is padding. A segment matches one of its category that is
  no crowd where their IoU is above a half; pixels of a prediction on void are
  in no union. A true segment without a match is missed, unless it is a crowd
  or has no pixels; a predicted one is false, unless more than half of it lies
  on void or on the crowd of its category (the last one, if several). Ids above
  p or g are read as 0 and their example is counted in `overflow`.

  Source: Kirillov et al. 2019, with the void and crowd rules of panopticapi.
  """
  prediction_category = jnp.asarray(prediction_category)
  truth_category = jnp.asarray(truth_category)
  columns = prediction_category.shape[-1] + 1
  rows = truth_category.shape[-1] + 1
  valid = jnp.broadcast_to(jnp.asarray(valid), truth.shape[:1])

  def listed(ids, size):
    return jnp.where((ids > 0) & (ids < size), ids, 0)

  def overlaps(truth, prediction):
    joint = jnp.zeros((rows, columns), jnp.int32)
    return joint.at[truth, prediction].add(1)

  joint = jax.vmap(overlaps)(listed(truth, rows), listed(prediction, columns))
  joint = jnp.where(valid[:, None, None], joint, 0)
  tally = jax.vmap(_tally, in_axes=(0, 0, 0, 0, None))
  states = tally(
    joint, prediction_category, truth_category, truth_crowd, num_categories
  )
  beyond = (prediction >= columns) | (truth >= rows)
  overflow = jnp.any(beyond, axis=(-2, -1)) & valid
  return {**states, 'overflow': overflow.astype(jnp.int32)}


def _tally(joint, prediction_category, truth_category, crowd, num_categories):
  """tp, fp, fn and summed IoU a category, of one image."""
  truth_area = joint.sum(axis=1)[1:]
  prediction_area = joint.sum(axis=0)[1:]
  void = joint[0, 1:]
  intersection = joint[1:, 1:]
  union = truth_area[:, None] + (prediction_area - void) - intersection
  same = truth_category[:, None] == prediction_category
  countable = (truth_area > 0) & ~crowd
  # At most one match a segment, so no assignment is needed.
  match = same & countable[:, None] & (2 * intersection > union)
  iou = jnp.where(match, intersection / jnp.maximum(union, 1), 0.0).sum(axis=1)

  order = jnp.arange(1, len(truth_category) + 1)
  last_crowd = jnp.max(
    jnp.where(same & crowd[:, None], order[:, None], 0), axis=0, initial=0
  )
  on_crowd = jnp.take_along_axis(joint[:, 1:], last_crowd[None], axis=0)[0]
  forgiven = void + jnp.where(last_crowd > 0, on_crowd, 0)
  false = (prediction_area > 0) & ~match.any(axis=0)
  false &= 2 * forgiven <= prediction_area

  def by_category(values, category):
    is_it = category[:, None] == jnp.arange(num_categories)
    return jnp.where(is_it, values[:, None], 0).sum(axis=0, dtype=values.dtype)

  found = match.any(axis=1)
  return {
    'tp': by_category(found.astype(jnp.int32), truth_category),
    'fp': by_category(false.astype(jnp.int32), prediction_category),
    'fn': by_category((countable & ~found).astype(jnp.int32), truth_category),
    'iou': by_category(iou, truth_category),
  }


def summarize_panoptic(
  states: Mapping[str, ArrayLike], *, is_thing: Sequence[bool]
) -> dict[str, float]:
  """pq, sq and rq in [0, 1], over all categories, `things_*` and `stuff_*`.

  Means over the categories met in truth or prediction; nan where there is
  none. `is_thing` has one value a category.
  """
  tp, fp, fn, iou = (
    np.asarray(states[key], np.float64) for key in ('tp', 'fp', 'fn', 'iou')
  )
  met = tp + fp + fn > 0
  whole = np.where(met, tp + 0.5 * fp + 0.5 * fn, 1.0)
  quality = {
    'pq': iou / whole,
    'sq': iou / np.maximum(tp, 1.0),
    'rq': tp / whole,
  }
  thing = np.asarray(is_thing, bool)
  groups = {'': met, 'things_': met & thing, 'stuff_': met & ~thing}
  return {
    prefix + name: float(values[group].mean()) if group.any() else float('nan')
    for prefix, group in groups.items()
    for name, values in quality.items()
  }
