"""Depth on real photographs with measured points, in meters and after a scale.

  python -m perf.photo_depth --data points.zip [--network scenes-nano]

The archive holds photographs and a ground_truth.jsonl, one object a line:
`image`, `intrinsics` [fx fy cx cy w h], `pixel_coords` [[x y] ...] and `depth`
in meters along the ray, which is turned into depth along the optical axis.
Scores are means over photographs, with intervals over them: in meters as they
come, and after one scale a photograph, the median of true over found. The
constant beside each is the best one in hindsight. `--data` does not come with
this repository.
"""

import io
import json
import pathlib
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

import vbanana_jax as vb
from perf import run
from vbanana_jax import keys
from vbanana_jax.data import photos
from vbanana_jax.errors import UserError
from vbanana_jax.metrics import bootstrap
from vbanana_jax.metrics import depth as metric
from vbanana_jax.tasks import TASKS

_SCORES = ('delta1', 'abs_rel')
_CAP_M = 80.0  # what is painted as farther counts as this


def measure(
  data: pathlib.Path = pathlib.Path('points.zip'),
  network: str = 'scenes-nano',
) -> dict[str, Any]:
  """Scores of a network, a workdir or a name, on all photographs."""
  if not zipfile.is_zipfile(data):
    raise UserError(f'--data {data} is no zip; see python -m perf.photo_depth')
  model = vb.open(network)
  found_m, true_m = [], []
  for photo_u8, pixels, depth_m in _read(data):
    value = model.ask('depth', photo_u8).value[pixels[:, 1], pixels[:, 0]]
    found_m.append(np.minimum(value, _CAP_M))
    true_m.append(depth_m)
  scaled_m = [f * np.median(t / f) for f, t in zip(found_m, true_m)]
  task = TASKS['depth']
  constants = [
    _score([np.full_like(t, c) for t in true_m], true_m)[0]
    for c in task.constants
  ]
  rows: dict[str, dict[str, Any]] = {}
  for suffix, guesses in (('', found_m), (' after one scale', scaled_m)):
    scores, intervals = _score(guesses, true_m)
    for name in _SCORES:
      low, high = intervals[name]
      mean = {'median': scores[name], 'min': low, 'max': high}
      rows[name + suffix] = {'value': mean}
      if not suffix:
        best = max if task.metrics[name] == 'max' else min
        rows[name]['best_constant'] = best(c[name] for c in constants)
  return {
    'network': network,
    'photographs': len(true_m),
    'points': sum(map(len, true_m)),
    'tables': {'scores': rows},
  }


def _read(
  data: pathlib.Path,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
  """Photographs, pixels int `[n, 2]` (column, row), and their depth in m."""
  with zipfile.ZipFile(data) as archive:
    lines = io.TextIOWrapper(archive.open('ground_truth.jsonl'), 'utf-8')
    for record in map(json.loads, lines):
      name = record['image']
      photo_u8 = photos.open_photo(archive.read(name), name=name)
      pixels = np.array(record['pixel_coords'])
      fx, fy, cx, cy = record['intrinsics'][:4]
      x, y = (pixels[:, 0] - cx) / fx, (pixels[:, 1] - cy) / fy
      depth_m = np.array(record['depth']) / np.sqrt(x * x + y * y + 1.0)
      yield photo_u8, np.floor(pixels).astype(int), depth_m


def _score(
  found_m: list, true_m: list
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
  """Means over photographs, and their intervals, by name."""
  states = [
    metric.depth_states(f[None, None], t[None, None], cap_m=_CAP_M)
    for f, t in zip(found_m, true_m)
  ]
  states = {
    name: np.concatenate([each[name] for each in states]) for name in states[0]
  }
  summed = {name: bootstrap.widen(x).sum(0) for name, x in states.items()}
  rng = keys.make_rng(0, 'photo_depth')
  intervals = bootstrap.make_intervals(states, metric.summarize_depth, rng)
  return metric.summarize_depth(summed), intervals


if __name__ == '__main__':
  run.run_main(measure, quick={})
