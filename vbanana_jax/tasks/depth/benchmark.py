"""Depth on benchmarks: errors in meters, as they come and aligned."""

import jax.numpy as jnp
import numpy as np

from vbanana_jax import resizing
from vbanana_jax.metrics import alignment, crops
from vbanana_jax.metrics import depth as metric
from vbanana_jax.tasks import benchmark

_ALIGNMENTS = ('median', 'lstsq')
# Correlations beyond this, on the wrong side, are not chance.
_MIRRORED = 0.2
_MOST_BEYOND = 0.5  # of measured pixels; more means another unit
_FEW = 4  # pictures below which a sample proves nothing about axes
_EDGES_M = np.geomspace(1e-4, 1e5, 2**14 + 1)  # steps of an eighth of a percent
_PERCENTILES = (1, 50, 99)


class DepthBenchmark(benchmark.Benchmark):
  """Truth: `depth_m` f32[h w], 0 where nothing was measured."""

  def get_shape(self, truth):
    return truth['depth_m'].shape

  def pad_truth(self, truth, settings):
    depth_m = truth['depth_m']
    where = crops.make_crop(depth_m.shape, settings.crop)
    return {'depth_m': benchmark.pad(depth_m), 'where': benchmark.pad(where)}

  def resize(self, depth_m, tables):
    finite = jnp.isfinite(depth_m)
    total = resizing.mix(jnp.where(finite, depth_m, 0.0), tables)
    weight = resizing.mix(finite.astype(jnp.float32), tables)
    nearest = resizing.take_nearest(finite, tables)
    resized = total / jnp.where(nearest, jnp.maximum(weight, 1e-6), 1.0)
    return jnp.where(nearest, resized, jnp.inf)

  def score(self, depth_m, truth, settings):
    states = self.score_constant(depth_m, truth, settings)
    for fit in _ALIGNMENTS:
      states |= alignment.aligned_depth_states(
        depth_m,
        truth['depth_m'],
        alignment=fit,
        **_make_limits(truth, settings),
      )
    return states

  def make_constant_aux(self, shape, settings):
    del settings
    return {'depth_m': jnp.zeros((1, *shape))}

  def score_constant(self, depth_m, truth, settings):
    """Without alignments: a constant that is aligned is another one."""
    limits = _make_limits(truth, settings)
    return metric.depth_states(depth_m, truth['depth_m'], **limits)

  def summarize(self, states):
    """In meters as they come, and, named apart, after each alignment."""
    scores = metric.summarize_depth(states)
    for fit in _ALIGNMENTS:
      if f'aligned_{fit}_images' not in states:
        continue
      scores |= alignment.summarize_aligned_depth(states, alignment=fit)
    return scores

  def make_tally(self):
    return _Tally()


def _make_limits(truth, settings):
  return {
    'near_m': settings.near_m or metric.NEAREST_M,
    'cap_m': np.inf if settings.cap_m is None else settings.cap_m,
    'clamp_m': tuple(settings.clamp_m),
    'where': truth['where'],
  }


class _Tally:
  def __init__(self):
    self._shares, self._slopes = [], []
    self._counts = np.zeros(len(_EDGES_M) - 1, np.int64)

  def add(self, truth):
    depth_m = truth['depth_m']
    measured = depth_m > 0
    self._shares.append(measured.mean())
    within = depth_m[measured].clip(_EDGES_M[0], _EDGES_M[-1])
    self._counts += np.histogram(within, _EDGES_M)[0]
    self._slopes.append(benchmark.correlate(depth_m, measured, axis=0))

  def judge(self, settings):
    measured = np.mean(self._shares)
    yield benchmark.Finding(
      measured == 0, f'{measured:.1%} of pixels are measured'
    )
    if not measured:
      return
    if settings.cap_m:
      above = _EDGES_M[:-1] >= settings.cap_m
      beyond = self._counts[above].sum() / self._counts.sum()
      yield benchmark.Finding(
        beyond > _MOST_BEYOND,
        f'{beyond:.1%} of them lie beyond the cap of {settings.cap_m:g} m',
      )
    places = np.searchsorted(
      self._counts.cumsum(),
      np.multiply(_PERCENTILES, self._counts.sum()) / 100,
    )
    low, median, high = np.sqrt(_EDGES_M[places] * _EDGES_M[places + 1])
    yield benchmark.Finding(
      not 0.2 < median < 100,
      f'depth: median {median:.3g} m, 98 % within {low:.3g} to {high:.3g} m',
    )
    slope = benchmark.average(self._slopes)
    if len(self._shares) >= _FEW and np.isfinite(slope):
      yield benchmark.Finding(
        slope > _MIRRORED,
        f'depth grows towards the {"bottom" if slope > 0 else "top"} '
        f'(correlation with the row {slope:+.2f}): photographs stand '
        f'{"on their heads" if slope > _MIRRORED else "upright"}',
      )
