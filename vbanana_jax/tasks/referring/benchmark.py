"""Referring expressions on benchmarks: overlap with the phrase's mask."""

import jax
import numpy as np

from vbanana_jax.metrics import segmentation as metric
from vbanana_jax.tasks import benchmark


class ReferringBenchmark(benchmark.Benchmark):
  """Truth: `mask` bool[h w], and `ignore` where pixels do not count."""

  def get_shape(self, truth):
    return truth['mask'].shape

  def make_states(self, labels, truth, settings):
    del settings
    return jax.device_get(
      _referring_states(
        benchmark.pad(labels > 0)[None],
        benchmark.pad(truth['mask'])[None],
        benchmark.pad(~truth['ignore'])[None],
      )
    )

  def summarize(self, states):
    return metric.summarize_referring(states)

  def make_tally(self):
    return _Tally()


@jax.jit
def _referring_states(mask, truth, where):
  return metric.referring_states(mask, truth, where=where)


class _Tally:
  def __init__(self):
    self._shares = []

  def add(self, truth):
    self._shares.append(truth['mask'].mean())

  def judge(self, settings):
    del settings
    empty = self._shares.count(0)
    yield benchmark.Finding(
      empty == len(self._shares),
      f'masks: median {np.median(self._shares):.1%} of the picture, '
      f'{empty} empty',
    )
