"""What a sample of truths looks like, task by task.

Truths are seen one after the other and never kept: those of one crowded
photograph take hundreds of megabytes.
"""

from collections.abc import Iterator
from typing import ClassVar, NamedTuple, Protocol

import numpy as np

from vbanana_jax.benchmark import protocols

# Correlations beyond this, on the wrong side, are not chance.
_MIRRORED = 0.2
_MOST_BEYOND = 0.5  # of measured pixels; more means another unit
_FEW = 4  # pictures below which a sample proves nothing about axes
_EDGES_M = np.geomspace(1e-4, 1e5, 2**14 + 1)  # steps of an eighth of a percent
_PERCENTILES = (1, 50, 99)


class Finding(NamedTuple):
  """One line of the report.

  Attributes:
    is_fault: whether it makes scores wrong.
    text: what was found, and the remedy.
  """

  is_fault: bool
  text: str


class Tally(Protocol):
  """Counts over truths, of a size that does not grow with the pictures."""

  def add(self, truth: dict[str, np.ndarray]) -> None: ...

  def judge(self, protocol: protocols.Protocol) -> Iterator[Finding]: ...


class _Depth:
  def __init__(self):
    self._shares, self._slopes = [], []
    self._counts = np.zeros(len(_EDGES_M) - 1, np.int64)

  def add(self, truth):
    depth_m = truth['depth_m']
    measured = depth_m > 0
    self._shares.append(measured.mean())
    within = depth_m[measured].clip(_EDGES_M[0], _EDGES_M[-1])
    self._counts += np.histogram(within, _EDGES_M)[0]
    self._slopes.append(_correlate(depth_m, measured, axis=0))

  def judge(self, protocol):
    measured = np.mean(self._shares)
    yield Finding(measured == 0, f'{measured:.1%} of pixels are measured')
    if not measured:
      return
    if protocol.cap_m:
      above = _EDGES_M[:-1] >= protocol.cap_m
      beyond = self._counts[above].sum() / self._counts.sum()
      yield Finding(
        beyond > _MOST_BEYOND,
        f'{beyond:.1%} of them lie beyond the cap of {protocol.cap_m:g} m',
      )
    places = np.searchsorted(
      self._counts.cumsum(),
      np.multiply(_PERCENTILES, self._counts.sum()) / 100,
    )
    low, median, high = np.sqrt(_EDGES_M[places] * _EDGES_M[places + 1])
    yield Finding(
      not 0.2 < median < 100,
      f'depth: median {median:.3g} m, 98 % within {low:.3g} to {high:.3g} m',
    )
    slope = _mean(self._slopes)
    if len(self._shares) >= _FEW and np.isfinite(slope):
      yield Finding(
        slope > _MIRRORED,
        f'depth grows towards the {"bottom" if slope > 0 else "top"} '
        f'(correlation with the row {slope:+.2f}): photographs stand '
        f'{"on their heads" if slope > _MIRRORED else "upright"}',
      )


class _Normals:
  # Walls at the left face right, and floors, at the bottom, face up.
  AXES: ClassVar = (('x (right)', 0, 1, -1), ('y (up)', 1, 0, 1))

  def __init__(self):
    self._shares = []
    self._slopes = {name: [] for name, *_ in self.AXES}

  def add(self, truth):
    valid = truth['normals'].any(-1)
    self._shares.append(valid.mean())
    for name, component, axis, _ in self.AXES:
      slope = _correlate(truth['normals'][..., component], valid, axis=axis)
      self._slopes[name].append(slope)

  def judge(self, protocol):
    del protocol
    valid = np.mean(self._shares)
    yield Finding(valid == 0, f'{valid:.1%} of pixels have a normal')
    if not valid or len(self._shares) < _FEW:
      return
    for name, _, axis, sign in self.AXES:
      slope = _mean(self._slopes[name])
      mirrored = sign * slope < -_MIRRORED
      yield Finding(
        bool(mirrored),
        f'normals: {name} goes with the {"column" if axis else "row"} by '
        f'{slope:+.2f}, expected {"negative" if sign < 0 else "positive"}'
        + (': this axis is mirrored' if mirrored else ''),
      )


class _Semantic:
  def __init__(self):
    self._used, self._labelled, self._all = set(), 0, 0

  def add(self, truth):
    labels = truth['semantic']
    used, counts = np.unique(labels[labels != 255], return_counts=True)
    self._used.update(used.tolist())
    self._labelled += int(counts.sum())
    self._all += labels.size

  def judge(self, protocol):
    del protocol
    share = self._labelled / self._all
    yield Finding(share == 0, f'{share:.1%} of pixels have a class')
    used = ', '.join(map(str, sorted(self._used)))
    yield Finding(False, f'classes met: {used}')


class _Referring:
  def __init__(self):
    self._shares = []

  def add(self, truth):
    self._shares.append(truth['mask'].mean())

  def judge(self, protocol):
    del protocol
    empty = self._shares.count(0)
    yield Finding(
      empty == len(self._shares),
      f'masks: median {np.median(self._shares):.1%} of the picture, '
      f'{empty} empty',
    )


class _Instance:
  def __init__(self):
    self._counts, self._repeated = [], 0

  def add(self, truth):
    self._counts.append(int(truth['masks'].any((2, 3)).sum(1).max()))
    for masks in truth['masks']:  # of one annotator
      drawn = [mask.tobytes() for mask in masks if mask.any()]
      self._repeated += len(drawn) - len(set(drawn))

  def judge(self, protocol):
    del protocol
    yield Finding(
      False,
      f'instances: {np.mean(self._counts):.1f} an example, at most '
      f'{max(self._counts)}; {self._counts.count(0)} without any',
    )
    yield Finding(
      self._repeated > 0,
      f'{self._repeated} masks are those of another instance, pixel by pixel',
    )


TALLIES: dict[str, type[Tally]] = {
  'depth': _Depth,
  'normals': _Normals,
  'semantic': _Semantic,
  'referring': _Referring,
  'instance': _Instance,
}


def _correlate(values, valid, *, axis: int) -> float:
  """Of valid values with the row (axis 0) or column (1); NaN if undefined."""
  place = np.nonzero(valid)[axis]
  values = values[valid]
  if values.size < 2 or values.std() == 0 or place.std() == 0:
    return float('nan')
  return float(np.corrcoef(place, values)[0, 1])


def _mean(slopes: list[float]) -> float:
  defined = [slope for slope in slopes if np.isfinite(slope)]
  return float(np.mean(defined)) if defined else float('nan')
