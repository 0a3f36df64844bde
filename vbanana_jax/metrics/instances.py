"""Instance masks: scores of their best matching, and the SA-Co family."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Int

from vbanana_jax.metrics.matching import count_ids, count_matches

EPSILON = 1e-4
_IMAGE_EPSILON = 1e-6
# Results at all thresholds (their mean), at .5 and at .75.
_ROWS = (('', slice(None)), ('_0.5', slice(0, 1)), ('_0.75', slice(5, 6)))


def _only_annotator(states):
  """tp, fp, fn and positive_fp [b 10] where there is one annotator."""
  tp, true = states['tp'][:, 0], states['true'][:, 0]
  fp = states['predicted'][:, None] - tp
  return {
    'items': states['items'],
    'tp': tp,
    'fp': fp,
    'fn': true[:, None] - tp,
    # Only these spoil the positive micro F1.
    'positive_fp': jnp.where(true[:, None] > 0, fp, 0),
    'predicted': states['predicted'],
    'true': true,
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
  match and their example is counted in `overflow`. An example without a pixel
  left by `where` is no item. tp, fp, fn and positive_fp are [b 10], one a
  threshold.

  Source: SA-Co evaluation (SAM 3): one assignment that maximises the sum of
  IoU serves all thresholds; every decoded instance is a prediction.
  """
  prediction = jnp.asarray(prediction, jnp.int32)
  truth = jnp.asarray(truth, jnp.int32)
  counted = jnp.broadcast_to(jnp.asarray(where), truth.shape)
  valid = jnp.asarray(valid) & counted.any(axis=(-2, -1))
  size = max_instances + 1

  def listed(ids):
    return jnp.where(counted & (ids > 0) & (ids < size), ids, 0)

  def overlaps(prediction, truth):
    joint = jnp.zeros((size, size), jnp.int32)
    return joint.at[prediction, truth].add(1)

  joint = jax.vmap(overlaps)(listed(prediction), listed(truth))
  states = count_matches(
    joint[:, None, 1:, 1:],
    joint.sum(2)[:, 1:],
    joint.sum(1)[:, None, 1:],
    valid,
  )
  beyond = counted & ((prediction >= size) | (truth >= size))
  overflow = jnp.any(beyond, axis=(-2, -1)) & valid
  return {**_only_annotator(states), 'overflow': overflow.astype(jnp.int32)}


def instance_mask_states(
  prediction: Bool[ArrayLike, 'b p h w'],
  truth: Bool[ArrayLike, 'b k h w'],
  *,
  valid: Bool[ArrayLike, 'b'] | bool = True,
) -> dict[str, Array]:
  """As `instance_states`, for masks that may overlap; empty ones are padding.

  Exact below 2^24 pixels.
  """
  prediction = jnp.asarray(prediction, jnp.float32)
  truth = jnp.asarray(truth, jnp.float32)
  intersection = jnp.einsum(
    'bphw,bkhw->bpk', prediction, truth, precision=jax.lax.Precision.HIGHEST
  )
  states = count_matches(
    intersection.astype(jnp.int32)[:, None],
    prediction.sum(axis=(-2, -1)).astype(jnp.int32),
    truth.sum(axis=(-2, -1)).astype(jnp.int32)[:, None],
    valid,
  )
  return _only_annotator(states)


def saco_states(
  prediction: Int[ArrayLike, 'b h w'],
  masks: Bool[ArrayLike, 'b a k h w'],
  crowd: Bool[ArrayLike, 'b a k'],
  *,
  max_predictions: int,
  where: Bool[ArrayLike, 'b h w'] | bool = True,
  valid: Bool[ArrayLike, 'b'] | bool = True,
) -> dict[str, Array]:
  """Matches an id map with the masks of each of `a` annotators.

  Masks may overlap; empty ones are padding, and so is an annotator who
  repeats another. Crowd masks are not matched and not missed, but what is
  predicted on them is still a false positive. Ids above `max_predictions`
  are left out of the match and their example is counted in `overflow`. An
  example without a pixel left by `where` is no item. tp is [b a 10], true
  [b a]; `choose_annotators` makes states that can be summed.

  Source: SA-Co evaluation (SAM 3), `cgf1_eval`: one pair of picture and
  phrase is an item; iscrowd is its ignore flag.
  """
  prediction = jnp.asarray(prediction, jnp.int32)
  masks = jnp.asarray(masks)
  counted = jnp.broadcast_to(jnp.asarray(where), prediction.shape)
  valid = jnp.asarray(valid) & counted.any(axis=(-2, -1))
  size = max_predictions + 1
  listed = (prediction > 0) & (prediction < size)
  ids = jnp.where(counted, jnp.where(listed, prediction, 0), -1)
  b, a, k, h, w = masks.shape
  area, joint = jax.vmap(lambda ids, masks: count_ids(ids, masks, size))(
    ids, masks.reshape(b, a * k, h, w)
  )
  overlap = joint.reshape(b, size, a, k).swapaxes(1, 2)
  overlap = jnp.where(crowd[:, :, None], 0, overlap)
  beyond = jnp.any(counted & (prediction >= size), axis=(-2, -1)) & valid
  return {
    **count_matches(overlap[:, :, 1:], area[:, 1:], overlap.sum(2), valid),
    'overflow': beyond.astype(jnp.int32),
  }


def choose_annotators(
  states: Mapping[str, ArrayLike],
) -> dict[str, np.ndarray]:
  """Each item's best annotator, in float64 on the host: states to sum.

  The one of the highest F1 (mean over thresholds), of equal ones the first;
  one who agrees that there is nothing beats all. Also takes the states of
  `instance_states` and `instance_mask_states`, of one annotator. Choosing
  needs float64, as scores of annotators may differ by 1e-9.

  Returns:
    [b 10] by threshold: tp, fp, fn, positive_fp, answered_f1 (F1 of items
    with both truth and prediction); [b]: items, predicted, true, and the
    item counts image_tp, image_tn, image_fp, image_fn.

  Source: SA-Co/Gold, `cgf1_eval`: the best of three annotators.
  """
  predicted = np.asarray(states['predicted'])
  tp, true = np.asarray(states['tp']), np.asarray(states['true'])
  if true.ndim == 1:
    tp, true = tp[:, None], true[:, None]
  precision = tp / (predicted[:, None, None] + EPSILON)
  recall = tp / (true[:, :, None] + EPSILON)
  f1 = _f1(precision, recall, EPSILON)
  agreed = (true == 0) & (predicted[:, None] == 0)
  best = np.argmax(np.where(agreed, 2.0, f1.mean(-1)), axis=1)
  rows = np.arange(len(best))
  tp, true, f1 = tp[rows, best], true[rows, best], f1[rows, best]
  fp = predicted[:, None] - tp
  items = np.asarray(states['items'])
  wanted, answered = true > 0, predicted > 0
  return {
    'items': items,
    'tp': tp,
    'fp': fp,
    'fn': true[:, None] - tp,
    'positive_fp': np.where(wanted[:, None], fp, 0),
    'answered_f1': np.where((wanted & answered)[:, None], f1, 0.0),
    'predicted': predicted,
    'true': true,
    'image_tp': items * (wanted & answered),
    'image_tn': items * (~wanted & ~answered),
    'image_fp': items * (~wanted & answered),
    'image_fn': items * (wanted & ~answered),
  }


def _f1(precision, recall, epsilon):
  return 2 * precision * recall / (precision + recall + epsilon)


def _totals(states, false_positives):
  """Precision, recall and F1 [10] from summed counts."""
  tp = np.asarray(states['tp'], np.float64)
  precision = tp / (tp + states[false_positives] + EPSILON)
  recall = tp / (tp + states['fn'] + EPSILON)
  return precision, recall, _f1(precision, recall, EPSILON)


def _spread(tables):
  """Mean over thresholds, and the values at .5 and .75, by name."""
  return {
    name + row: float(np.mean(table[chosen]))
    for name, table in tables.items()
    for row, chosen in _ROWS
  }


def summarize_instances(states: Mapping[str, ArrayLike]) -> dict[str, float]:
  """pmf1 (mean over thresholds), pmf1_0.5, pmf1_0.75 and counts.

  False positives on examples without a true instance do not count here. nan
  where no example has a true instance.
  """
  *_, f1 = _totals(states, 'positive_fp')
  if not states['true']:
    f1 = np.full_like(f1, np.nan)
  counts = {name: float(states[name]) for name in ('predicted', 'true')}
  return {**_spread({'pmf1': f1}), **counts}


def summarize_saco(states: Mapping[str, ArrayLike]) -> dict[str, float]:
  """The SA-Co family from summed `choose_annotators`; shares, not percents.

  Means over thresholds, and at one with _0.5 and _0.75: precision, recall,
  f1, positive_precision, pmf1 (positive micro F1), positive_macro_f1, and
  cgf1 = pmf1 * il_mcc. Of whole items: il_precision, il_recall, il_f1,
  il_fpr, il_mcc. Counts: items, predicted, true. positive_*, pmf1 and cgf1
  are nan where no item has a true instance; positive_macro_f1, a mean over
  items with both truth and prediction, also where none has. All scores are nan
  without an item.

  Source: SA-Co evaluation (SAM 3), `cgf1_eval`.
  """
  tp, tn, fp, fn = (
    float(states[f'image_{name}']) for name in ('tp', 'tn', 'fp', 'fn')
  )
  il_precision = tp / (tp + fp + _IMAGE_EPSILON)
  il_recall = tp / (tp + fn + _IMAGE_EPSILON)
  scale = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
  il_mcc = float((tp * tn - fp * fn) / (scale + _IMAGE_EPSILON))
  precision, recall, f1 = _totals(states, 'fp')
  positive_precision, _, pmf1 = _totals(states, 'positive_fp')
  answered_f1 = np.asarray(states['answered_f1'], np.float64)
  positive = {
    'positive_precision': positive_precision,
    'pmf1': pmf1,
    'positive_macro_f1': answered_f1 / tp if tp else pmf1 * np.nan,
    'cgf1': pmf1 * il_mcc,
  }
  if not states['true']:
    positive = {name: table * np.nan for name, table in positive.items()}
  scores = {
    **_spread({'precision': precision, 'recall': recall, 'f1': f1}),
    **_spread(positive),
    'il_precision': il_precision,
    'il_recall': il_recall,
    'il_f1': _f1(il_precision, il_recall, _IMAGE_EPSILON),
    'il_fpr': fp / (fp + tn + _IMAGE_EPSILON),
    'il_mcc': il_mcc,
  }
  if not states['items']:
    scores = dict.fromkeys(scores, float('nan'))
  counts = ('items', 'predicted', 'true')
  return {**scores, **{name: float(states[name]) for name in counts}}
