"""Depth on real photographs with measured points, metres as they come.

  python -m perf.sparse_depth --data points.zip \
    --checkpoint runs/quickstart/tune [--output results.json]

The archive holds photographs and a ground_truth.jsonl, one object a line:
`image`, `intrinsics` [fx fy cx cy w h], `pixel_coords` [[x y] ...] and `depth`
in metres along the ray, which is turned into depth along the optical axis.
Nothing is scaled or shifted to fit. The constant beside each score is the best
one in hindsight.
"""

import argparse
import io
import json
import pathlib
import tempfile
import zipfile

import numpy as np

from vbanana_jax import predict
from vbanana_jax.metrics import depth as metric
from vbanana_jax.runtime import logs
from vbanana_jax.tasks import TASKS
from vbanana_jax.training import provenance

CAP_M = 80.0
_SCORES = ('delta1', 'abs_rel', 'rmse', 'silog')


def to_z(ray_m, pixels, intrinsics) -> np.ndarray:
  """Depth along the optical axis of points measured along their rays."""
  fx, fy, cx, cy = intrinsics[:4]
  x = (pixels[:, 0] - cx) / fx
  y = (pixels[:, 1] - cy) / fy
  return ray_m / np.sqrt(x * x + y * y + 1.0)


def load_points(record) -> tuple[np.ndarray, np.ndarray]:
  """Pixels int[n 2] (column, row) and their depth in metres, `[n]`."""
  pixels = np.array(record['pixel_coords'])
  ray_m = np.array(record['depth'], np.float64)
  depth_m = to_z(ray_m, pixels, record['intrinsics'])
  return np.floor(pixels).astype(int), depth_m.astype(np.float32)


def score(predicted_m: list, true_m: list) -> dict[str, float]:
  """Means over photographs of scores over each one's points."""
  states = [
    metric.depth_states(p[None, None], t[None, None], cap_m=CAP_M)
    for p, t in zip(predicted_m, true_m)
  ]
  total = {key: sum(float(s[key][0]) for s in states) for key in states[0]}
  found = metric.summarize_depth(total)
  return {name: found[name] for name in _SCORES}


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--data', type=pathlib.Path, required=True)
  parser.add_argument('--checkpoint', type=pathlib.Path, required=True)
  parser.add_argument('--output', type=pathlib.Path)
  args = parser.parse_args()
  if not zipfile.is_zipfile(args.data):
    parser.error(
      f'--data {args.data}: no zip there; it holds photographs and measured '
      'points, is made as --help says, and does not come with this repository'
    )
  if not args.checkpoint.is_dir():
    parser.error(f'--checkpoint {args.checkpoint}: no run there; train first')

  predictor = predict.Predictor(args.checkpoint)
  predicted_m, true_m = [], []
  with (
    zipfile.ZipFile(args.data) as archive,
    tempfile.TemporaryDirectory() as d,
  ):
    lines = io.TextIOWrapper(archive.open('ground_truth.jsonl'), 'utf-8')
    for record in map(json.loads, lines):
      photo = pathlib.Path(d) / pathlib.PurePosixPath(record['image']).name
      photo.write_bytes(archive.read(record['image']))
      paths = predictor.answer(predict.Wish('depth'), photo, pathlib.Path(d))
      pixels, depth_m = load_points(record)
      predicted_m.append(np.load(paths['values'])[pixels[:, 1], pixels[:, 0]])
      true_m.append(depth_m)

  scores = score(predicted_m, true_m)
  constants = [
    score([np.full_like(t, c) for t in true_m], true_m)
    for c in TASKS['depth'].constants
  ]
  rows = []
  for name in _SCORES:
    best = max if TASKS['depth'].metrics[name] == 'max' else min
    constant = best(found[name] for found in constants)
    rows.append({'metric': name, 'value': scores[name], 'constant': constant})
    print(f'{name:<8} {scores[name]:8.3f}   best constant {constant:8.3f}')
  median_ratio = np.median(np.concatenate(predicted_m) / np.concatenate(true_m))
  print(f'{len(true_m)} photographs, median ratio to truth {median_ratio:.3f}')
  if args.output:
    logs.save_json(
      args.output,
      {
        'photographs': len(true_m),
        'points': int(sum(map(len, true_m))),
        'rows': rows,
        'median_ratio': float(median_ratio),
        'versions': provenance.get_versions(),
      },
    )


if __name__ == '__main__':
  main()
