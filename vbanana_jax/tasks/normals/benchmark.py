"""Normals on benchmarks: angles between directions."""

from typing import ClassVar

import jax.numpy as jnp
import numpy as np

from vbanana_jax import resizing
from vbanana_jax.metrics import crops
from vbanana_jax.metrics import normals as metric
from vbanana_jax.tasks import benchmark

# Correlations beyond this, on the wrong side, are not chance.
_MIRRORED = 0.2
_FEW = 4  # pictures below which a sample proves nothing about axes


class NormalsBenchmark(benchmark.Benchmark):
  """Truth: `normals` f32[h w 3], unit, 0 where there is none."""

  def get_shape(self, truth):
    return truth['normals'].shape[:2]

  def pad_truth(self, truth, settings):
    normals = truth['normals']
    where = crops.make_crop(normals.shape[:2], settings.crop)
    return {'normals': benchmark.pad(normals), 'where': benchmark.pad(where)}

  def resize(self, vectors, tables):
    smooth = resizing.mix(vectors, tables)
    length = jnp.linalg.norm(smooth, axis=-1, keepdims=True)
    nearest = resizing.take_nearest(jnp.any(vectors != 0.0, axis=-1), tables)
    unit = smooth / jnp.maximum(length, 1e-6)
    return jnp.where(nearest[..., None], unit, 0.0)

  def score(self, vectors, truth, settings):
    del settings
    return metric.normals_states(
      vectors,
      truth['normals'],
      bin_deg=metric.FINE_BIN_DEG,
      where=truth['where'],
    )

  def summarize(self, states):
    return metric.summarize_normals(states)

  def make_constant_aux(self, shape, settings):
    del settings
    return {'normals': jnp.zeros((1, *shape, 3))}

  def make_tally(self):
    return _Tally()


class _Tally:
  # Walls at the left face right, and floors, at the bottom, face up.
  AXES: ClassVar = (('x (right)', 0, 1, -1), ('y (up)', 1, 0, 1))

  def __init__(self):
    self._shares = []
    self._slopes = {name: [] for name, *_ in self.AXES}

  def add(self, truth):
    valid = truth['normals'].any(-1)
    self._shares.append(valid.mean())
    for name, component, axis, _ in self.AXES:
      slope = benchmark.correlate(
        truth['normals'][..., component], valid, axis=axis
      )
      self._slopes[name].append(slope)

  def judge(self, settings):
    del settings
    valid = np.mean(self._shares)
    yield benchmark.Finding(valid == 0, f'{valid:.1%} of pixels have a normal')
    if not valid or len(self._shares) < _FEW:
      return
    for name, _, axis, sign in self.AXES:
      slope = benchmark.average(self._slopes[name])
      mirrored = sign * slope < -_MIRRORED
      yield benchmark.Finding(
        bool(mirrored),
        f'normals: {name} goes with the {"column" if axis else "row"} by '
        f'{slope:+.2f}, expected {"negative" if sign < 0 else "positive"}'
        + (': this axis is mirrored' if mirrored else ''),
      )
