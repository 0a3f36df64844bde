"""Instances on benchmarks: masks matched with those of several annotators."""

import jax
import numpy as np

from vbanana_jax.metrics import instances as metric
from vbanana_jax.tasks import benchmark

_MAX_INSTANCES = 256  # more than any protocol's decoder holds
_ANNOTATED_BLOCK = 8  # instances of a truth are padded to multiples of it


class InstanceBenchmark(benchmark.Benchmark):
  """Truth: `masks` bool[a k h w] of a annotators, and `crowd` bool[a k]."""

  def get_shape(self, truth):
    return truth['masks'].shape[-2:]

  def make_states(self, ids, truth, settings):
    del settings
    masks, crowd = truth['masks'], truth['crowd']
    k = crowd.shape[1]
    more = -k % _ANNOTATED_BLOCK + _ANNOTATED_BLOCK * (k == 0)
    masks = np.pad(masks, ((0, 0), (0, more), (0, 0), (0, 0)))
    return jax.device_get(
      _instance_states(
        benchmark.pad(ids)[None],
        benchmark.pad(masks, axes=(2, 3))[None],
        np.pad(crowd, ((0, 0), (0, more)))[None],
        benchmark.pad(np.ones(ids.shape, bool))[None],
      )
    )

  def summarize(self, states):
    return metric.summarize_saco(states)

  def gather(self, states):
    """Of each example the annotator that it agrees with best."""
    return metric.choose_annotators(states)

  def make_tally(self):
    return _Tally()


@jax.jit
def _instance_states(ids, masks, crowd, where):
  return metric.saco_states(
    ids, masks, crowd, max_predictions=_MAX_INSTANCES, where=where
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
