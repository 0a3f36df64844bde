"""Instances on benchmarks: masks matched with those of several annotators."""

import jax.numpy as jnp
import numpy as np

from vbanana_jax.metrics import instances as metric
from vbanana_jax.tasks import benchmark

_MAX_INSTANCES = 256  # more than any protocol's decoder holds
_MAX_CONSTANT = 8  # more than a constant answer has
# Decoders take seconds to compile: fewer shapes, and numbers of masks.
_BLOCK = 256
_MASKS = (8, 16, 32, 64)  # and multiples of the last


class InstanceBenchmark(benchmark.Benchmark):
  """Truth: `masks` bool[a k h w] of a annotators, and `crowd` bool[a k]."""

  def get_shape(self, truth):
    return truth['masks'].shape[-2:]

  def pad_truth(self, truth, settings):
    del settings
    masks, crowd = truth['masks'], truth['crowd']
    annotators, k, *shape = masks.shape
    rows = next((n for n in _MASKS if n >= k), -(-k // _MASKS[-1]) * _MASKS[-1])
    where = benchmark.pad(np.ones(shape, bool), block=_BLOCK)
    padded = np.zeros((annotators, rows, *where.shape), bool)  # only once
    padded[:, :k, : shape[0], : shape[1]] = masks
    crowd = np.pad(crowd, ((0, 0), (0, rows - k)))
    return {'masks': padded, 'crowd': crowd, 'where': where}

  def score(self, ids, truth, settings):
    del settings
    return _match(ids, truth, _MAX_INSTANCES)

  def make_constant_aux(self, shape, settings):
    del settings
    return {'ids': jnp.zeros((1, *shape), jnp.int32)}

  def score_constant(self, ids, truth, settings):
    del settings
    return _match(ids, truth, _MAX_CONSTANT)

  def summarize(self, states):
    return metric.summarize_saco(states)

  def gather(self, states):
    """Of each example the annotator that it agrees with best."""
    return metric.choose_annotators(states)

  def make_tally(self):
    return _Tally()


def _match(ids, truth, most):
  return metric.saco_states(
    ids,
    truth['masks'],
    truth['crowd'],
    max_predictions=most,
    where=truth['where'],
  )


class _Tally:
  def __init__(self):
    self._counts, self._repeated = [], 0

  def add(self, truth):
    self._counts.append(int(truth['masks'].any((2, 3)).sum(1).max()))
    for masks in truth['masks']:  # of one annotator
      drawn = [mask.tobytes() for mask in masks if mask.any()]
      self._repeated += len(drawn) - len(set(drawn))

  def judge(self, settings):
    del settings
    yield benchmark.Finding(
      False,
      f'instances: {np.mean(self._counts):.1f} an example, at most '
      f'{max(self._counts)}; {self._counts.count(0)} without any',
    )
    yield benchmark.Finding(
      self._repeated > 0,
      f'{self._repeated} masks are those of another instance, pixel by pixel',
    )
