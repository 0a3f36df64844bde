"""Does tuning cost the generator anything? Held-out loss on the same noise.

  python -m benchmarks.retention --runs runs/quickstart/pretrain \
    runs/quickstart/tune [more runs] --out benchmarks/results/retention.json

Every run sees the same held-out captions, pictures, noise and times. The first
run is what the others are compared with, in a paired bootstrap over examples;
'empty prompt' rows are the same weights when they cannot read the caption.
"""

import argparse
import pathlib

import jax
import numpy as np

from vbanana_jax import keys, logs, sharding, weights
from vbanana_jax.data import exam, sources
from vbanana_jax.step import make_example_losses
from vbanana_jax.tasks.generate import Generate

_HELD_OUT_SEED = 2**40 + 3


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--runs', nargs='+', type=pathlib.Path, required=True)
  parser.add_argument('--n', type=int, default=2048)
  parser.add_argument('--out', type=pathlib.Path)
  args = parser.parse_args()

  rows = {}
  for run in args.runs:
    for name, blank in ((str(run), False), (f'{run}, empty prompt', True)):
      rows[name] = make_losses(run, args.n, blank)
  reference = rows[str(args.runs[0])]
  table = [
    {'run': name, 'loss': float(row.mean()), **compare(row, reference)}
    for name, row in rows.items()
  ]
  for row in table:
    low, high = row['interval']
    print(
      f'{row["run"]:<48} loss {row["loss"]:.5f}  '
      f'ratio {row["ratio"]:.4f} [{low:.4f}, {high:.4f}]'
    )
  if args.out:
    versions = logs.get_versions()
    logs.save_json(args.out, {'n': args.n, 'rows': table, 'versions': versions})


def make_losses(run: pathlib.Path, n: int, blank: bool) -> np.ndarray:
  """Loss of every held-out example, `[n]`, with averaged weights."""
  config, model, params = weights.load_run(run)
  mesh = sharding.make_mesh()

  @jax.jit
  def losses(params, batch):
    return make_example_losses(
      model,
      params,
      batch,
      key=keys.make_key(0, 'retention'),
      time_mean=config['loss']['time_mean'],
      time_std=config['loss']['time_std'],
    )

  found = []
  source = sources.SceneSource(
    config['data']['level'], _HELD_OUT_SEED, config['image_size']
  )
  for batch in exam.make_eval_batches(
    Generate(empty_share=0.0),
    source,
    range(n),
    batch_size=64,
    seed=0,
    max_text=config['data']['text_length'],
  ):
    valid = batch['valid']
    for extra in ('aux', 'count', 'prompt', 'valid'):
      del batch[extra]
    if blank:
      batch['tokens'] = np.zeros_like(batch['tokens'])
    found.append(np.asarray(losses(params, sharding.put_batch(batch, mesh))))
    found[-1] = found[-1][valid]
  return np.concatenate(found).astype(np.float64)


def compare(row: np.ndarray, reference: np.ndarray) -> dict:
  """Ratio of mean losses with a paired 95 % bootstrap interval."""
  rng = keys.make_rng(0, 'retention')
  draws = rng.integers(0, len(row), (1000, len(row)))
  ratios = row[draws].mean(1) / reference[draws].mean(1)
  return {
    'ratio': float(row.mean() / reference.mean()),
    'interval': [float(x) for x in np.quantile(ratios, [0.025, 0.975])],
  }


if __name__ == '__main__':
  main()
