"""Masks of two sides matched one to one, and the pixels that they share."""

import jax
import jax.numpy as jnp
import optax

# IoU thresholds .50, .55, ... .95 in twentieths: compared in exact integers.
TWENTIETHS = tuple(range(10, 20))
# Pixels of one step over large masks: bounds the memory of their one-hot ids.
_CHUNK = 2**14


def _match(intersection, union):
  """Pairs of maximal total IoU: TP at each threshold, [10] for [p k]."""
  iou = intersection / jnp.maximum(union, 1)
  rows, columns = optax.assignment.hungarian_algorithm(-iou)
  intersection = intersection[rows, columns][:, None]
  union = union[rows, columns][:, None]
  hit = 20 * intersection >= jnp.asarray(TWENTIETHS) * union
  return jnp.sum(hit & (intersection > 0), axis=0, dtype=jnp.int32)


def count_matches(intersection, prediction_area, truth_area, valid):
  """Counts of the best matching of each item with each annotator.

  Args:
    intersection: int32[b a p k], pixels of p predicted masks and k true ones.
    prediction_area: int32[b p]; an empty mask is padding.
    truth_area: int32[b a k]; likewise.
    valid: bool[b].
  """
  union = prediction_area[:, None, :, None] + truth_area[:, :, None, :]
  union -= intersection
  valid = jnp.broadcast_to(jnp.asarray(valid), intersection.shape[:1])
  tp = jax.vmap(jax.vmap(_match))(intersection, union)

  def number(area):
    return jnp.sum(area > 0, axis=-1, dtype=jnp.int32)

  return {
    'items': valid.astype(jnp.int32),
    'tp': jnp.where(valid[:, None, None], tp, 0),
    'predicted': jnp.where(valid, number(prediction_area), 0),
    'true': jnp.where(valid[:, None], number(truth_area), 0),
  }


def count_ids(ids, masks, size):
  """Pixels of every id [size], and under every mask [size m]; -1 is none.

  A matrix product of zeros and ones, a few pixels at a time: each partial
  sum is exact in float32, whatever precision the device multiplies in.
  """
  ids, masks = ids.reshape(-1), masks.reshape(masks.shape[0], -1)
  step = min(_CHUNK, ids.shape[0])
  steps = -(-ids.shape[0] // step)
  more = steps * step - ids.shape[0]
  ids = jnp.pad(ids, (0, more), constant_values=-1)
  masks = jnp.pad(masks, ((0, 0), (0, more)))

  def count(i):
    some_ids = jax.lax.dynamic_slice_in_dim(ids, i * step, step)
    some_masks = jax.lax.dynamic_slice_in_dim(masks, i * step, step, axis=1)
    one_hot = jax.nn.one_hot(some_ids, size, dtype=jnp.float32)
    joint = jnp.einsum('pi,mp->im', one_hot, some_masks.astype(jnp.float32))
    return one_hot.sum(0).astype(jnp.int32), joint.astype(jnp.int32)

  area, joint = jax.lax.map(count, jnp.arange(steps))
  return area.sum(0), joint.sum(0)
