"""Semantic segmentation on benchmarks: overlaps a class of the protocol."""

import jax.numpy as jnp
import numpy as np

from vbanana_jax.metrics import segmentation as metric
from vbanana_jax.tasks import benchmark

_IGNORED = 255


class SemanticBenchmark(benchmark.Benchmark):
  """Truth: `semantic` int[h w], number of a class; 255 does not count."""

  def get_shape(self, truth):
    return truth['semantic'].shape

  def pad_truth(self, truth, settings):
    del settings
    semantic = benchmark.pad(truth['semantic'], _IGNORED)
    return {'semantic': semantic, 'where': semantic != _IGNORED}

  def score(self, labels, truth, settings):
    return metric.semantic_states(
      labels - 1,  # label 0 is no class
      truth['semantic'],
      num_classes=len(settings.classes or ()),
      where=truth['where'],
    )

  def summarize(self, states):
    return metric.summarize_semantic(states)

  def score_classes(self, states, settings):
    """`iou`, and `share` of the labeled pixels; nan of a class never met."""
    area = np.asarray(states['truth_area'], np.float64)
    iou, share = metric.class_iou(states), area / max(area.sum(), 1.0)
    return {
      name: {'iou': float(iou[k]), 'share': float(share[k])}
      for k, (name, _) in enumerate(settings.classes or ())
    }

  def list_constants(self, settings):
    return range(-1, len(settings.classes or ()))

  def make_constant_aux(self, shape, settings):
    ids = jnp.asarray(self.list_constants(settings), jnp.int32)
    return {'class_id': ids[None], 'label': jnp.zeros((1, *shape), jnp.int32)}

  def make_tally(self):
    return _Tally()


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
