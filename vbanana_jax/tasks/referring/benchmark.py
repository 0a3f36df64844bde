"""Referring expressions on benchmarks: overlap with the phrase's mask."""

import jax.numpy as jnp
import numpy as np

from vbanana_jax.metrics import segmentation as metric
from vbanana_jax.tasks import benchmark


class ReferringBenchmark(benchmark.Benchmark):
  """Truth: `mask` bool[h w], and `ignore` where pixels do not count."""

  def get_shape(self, truth):
    return truth['mask'].shape

  def pad_truth(self, truth, settings):
    del settings
    return {
      'mask': benchmark.pad(truth['mask']),
      'where': benchmark.pad(~truth['ignore']),
    }

  def score(self, labels, truth, settings):
    del settings
    return metric.referring_states(
      labels > 0, truth['mask'], where=truth['where']
    )

  def summarize(self, states):
    return metric.summarize_referring(states)

  def make_constant_aux(self, shape, settings):
    del settings
    return {'label': jnp.zeros((1, *shape), jnp.int32)}

  def make_tally(self):
    return _Tally()


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
