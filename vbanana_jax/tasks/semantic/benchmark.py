"""Semantic segmentation on benchmarks: overlaps a class of the protocol."""

import functools

import jax
import numpy as np

from vbanana_jax.metrics import segmentation as metric
from vbanana_jax.tasks import benchmark

_NO_CLASS = -1
_IGNORED = 255


class SemanticBenchmark(benchmark.Benchmark):
  """Truth: `semantic` int[h w], number of a class; 255 does not count."""

  def get_shape(self, truth):
    return truth['semantic'].shape

  def make_states(self, labels, truth, settings):
    semantic = truth['semantic']
    return jax.device_get(
      _semantic_states(
        benchmark.pad(labels - 1, _NO_CLASS)[None],  # label 0 is no class
        benchmark.pad(semantic, _IGNORED)[None],
        num_classes=len(settings.classes or ()),
      )
    )

  def summarize(self, states):
    return metric.summarize_semantic(states)

  def make_tally(self):
    return _Tally()


@functools.partial(jax.jit, static_argnames='num_classes')
def _semantic_states(labels, semantic, *, num_classes):
  return metric.semantic_states(
    labels, semantic, num_classes=num_classes, where=semantic != _IGNORED
  )


class _Tally:
  def __init__(self):
    self._used, self._labeled, self._all = set(), 0, 0

  def add(self, truth):
    labels = truth['semantic']
    used, counts = np.unique(labels[labels != _IGNORED], return_counts=True)
    self._used.update(used.tolist())
    self._labeled += int(counts.sum())
    self._all += labels.size

  def judge(self, settings):
    del settings
    share = self._labeled / self._all
    yield benchmark.Finding(share == 0, f'{share:.1%} of pixels have a class')
    used = ', '.join(map(str, sorted(self._used)))
    yield benchmark.Finding(False, f'classes met: {used}')
