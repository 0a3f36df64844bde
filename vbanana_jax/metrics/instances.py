"""Instance masks: optimal matching and positive micro F1 (SA-Co)."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Int

# IoU thresholds .50, .55, ... .95 in twentieths: compared in exact integers.
TWENTIETHS = tuple(range(10, 20))
EPSILON = 1e-4


def _match(intersection, union):
  """Pairs of maximal total IoU: TP at each threshold, [10] for [k k]."""
  iou = intersection / jnp.maximum(union, 1)
  rows, columns = optax.assignment.hungarian_algorithm(-iou)
  intersection = intersection[rows, columns][:, None]
  union = union[rows, columns][:, None]
  hit = 20 * intersection >= jnp.asarray(TWENTIETHS) * union
  return jnp.sum(hit & (intersection > 0), axis=0, dtype=jnp.int32)


def _states(intersection, prediction_area, truth_area, valid):
  """States from overlaps [b k k] and areas [b k]; an empty mask is padding."""
  union = prediction_area[:, :, None] + truth_area[:, None, :] - intersection
  valid = jnp.broadcast_to(jnp.asarray(valid), intersection.shape[:1])[:, None]
  tp = jnp.where(valid, jax.vmap(_match)(intersection, union), 0)

  def number(area):
    present = (area > 0) & valid
    return jnp.sum(present, axis=-1, keepdims=True, dtype=jnp.int32)

  predicted, true = number(prediction_area), number(truth_area)
  return {
    'tp': tp,
    'fp': predicted - tp,
    'fn': true - tp,
    # Only these spoil the positive micro F1.
    'positive_fp': jnp.where(true > 0, predicted - tp, 0),
    'predicted': predicted[:, 0],
    'true': true[:, 0],
  }


def instance_states(
  prediction: Int[ArrayLike, 'b h w'],
  truth: Int[ArrayLike, 'b h w'],
  *,
  max_instances: int,
  where: Bool[ArrayLike, 'b h w'] | bool = True,
  valid: Bool[ArrayLike, 'b'] | bool = True,
) -> dict[str, Array]:
  """Matches the instances of two id maps; 0 (and below) is background.

  Ids need not be contiguous. Ids above `max_instances` are left out of the
  match and their example is counted in `overflow`. tp, fp, fn and
  positive_fp are [b 10], one a threshold.

  Source: SA-Co evaluation (SAM 3): one assignment that maximises the sum of
  IoU serves all thresholds; every decoded instance is a prediction.
  """
  counted = jnp.broadcast_to(jnp.asarray(where), truth.shape)
  size = max_instances + 1

  def listed(ids):
    return jnp.where(counted & (ids > 0) & (ids < size), ids, 0)

  def overlaps(prediction, truth):
    joint = jnp.zeros((size, size), jnp.int32)
    return joint.at[prediction, truth].add(1)

  joint = jax.vmap(overlaps)(listed(prediction), listed(truth))
  states = _states(
    joint[:, 1:, 1:], joint.sum(2)[:, 1:], joint.sum(1)[:, 1:], valid
  )
  beyond = counted & ((prediction >= size) | (truth >= size))
  overflow = jnp.any(beyond, axis=(-2, -1)) & valid
  return {**states, 'overflow': overflow.astype(jnp.int32)}


def instance_mask_states(
  prediction: Bool[ArrayLike, 'b k h w'],
  truth: Bool[ArrayLike, 'b k h w'],
  *,
  valid: Bool[ArrayLike, 'b'] | bool = True,
) -> dict[str, Array]:
  """As `instance_states`, for masks that may overlap; empty ones are padding.

  Both sides have the same k. Exact below 2^24 pixels.
  """
  prediction = jnp.asarray(prediction, jnp.float32)
  truth = jnp.asarray(truth, jnp.float32)
  intersection = jnp.einsum(
    'bphw,bqhw->bpq', prediction, truth, precision=jax.lax.Precision.HIGHEST
  )
  return _states(
    intersection.astype(jnp.int32),
    prediction.sum(axis=(-2, -1)).astype(jnp.int32),
    truth.sum(axis=(-2, -1)).astype(jnp.int32),
    valid,
  )


def summarize_instances(states: Mapping[str, ArrayLike]) -> dict[str, float]:
  """pmf1 (mean over thresholds), pmf1_0.5, pmf1_0.75 and counts.

  False positives on examples without a true instance do not count here. nan
  where no example has a true instance.
  """
  names = ('pmf1', 'pmf1_0.5', 'pmf1_0.75')
  counts = {name: float(states[name]) for name in ('predicted', 'true')}
  if not states['true']:
    return {**dict.fromkeys(names, float('nan')), **counts}
  tp = np.asarray(states['tp'], np.float64)
  recall = tp / (tp + states['fn'] + EPSILON)
  precision = tp / (tp + states['positive_fp'] + EPSILON)
  f1 = 2 * precision * recall / (precision + recall + EPSILON)
  scores = (f1.mean(), f1[0], f1[5])
  return {**{n: float(s) for n, s in zip(names, scores)}, **counts}
