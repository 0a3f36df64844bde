"""Does tuning cost the generator anything? Held-out loss on the same noise.

  vbanana train --config quickstart:pretrain --workdir runs/generate \
    --config.init_from=runs/quickstart/pretrain \
    --config.length='26_880 examples'
  python -m perf.retention --runs runs/quickstart/pretrain \
    runs/quickstart/tune runs/generate --out perf/results/retention.json

The first command goes on with generation alone for as long as the tuning.
Every run sees the same held-out captions, pictures, noise and times. Ratios
are of mean losses, with paired bootstrap intervals over examples: to the first
run, and to the same weights when they are given no caption to read.
"""

import argparse
import pathlib

import jax
import numpy as np

from perf import timing
from vbanana_jax import keys, sharding
from vbanana_jax.data import sources
from vbanana_jax.evaluation import held_out
from vbanana_jax.tasks.generate import Generate
from vbanana_jax.training import weights
from vbanana_jax.training.step import make_example_losses

_HELD_OUT_SEED = 2**40 + 3


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--runs', nargs='+', type=pathlib.Path, required=True)
  parser.add_argument('--n', type=int, default=2048)
  parser.add_argument('--out', type=pathlib.Path)
  args = parser.parse_args()
  for run in args.runs:
    if not run.is_dir():
      parser.error(f'--runs {run}: no run there; train it first (see --help)')

  table, first = [], None
  print(f'{"run":<32}{"loss":>9}{"to the first run":>28}{"to no caption":>28}')
  for run in args.runs:
    losses = make_losses(run, args.n, blank=False)
    without = make_losses(run, args.n, blank=True)
    first = losses if first is None else first
    row = {
      'run': str(run),
      'loss': float(losses.mean()),
      'to_first': compare(losses, first),
      'to_no_caption': compare(losses, without),
    }
    table.append(row)
    ratios = ''.join(
      f'{found["ratio"]:>12.4f} [{found["low"]:.4f}, {found["high"]:.4f}]'
      for found in (row['to_first'], row['to_no_caption'])
    )
    print(f'{row["run"]:<32}{row["loss"]:>9.5f}{ratios}')
  if args.out:
    timing.save('retention', {'n': args.n, 'rows': table}, output=args.out)


def make_losses(run: pathlib.Path, n: int, blank: bool) -> np.ndarray:
  """Loss of every held-out example, `[n]`, with averaged weights."""
  config, model, params = weights.load_run(run)
  mesh = sharding.build_mesh()

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
  batches = held_out.make_eval_batches(
    Generate(empty_share=0.0),
    source,
    range(n),
    batch_size=64,
    seed=0,
    max_text=config['model']['max_text'],
  )
  for batch in held_out.trim_prompts(batches):
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
  low, high = np.quantile(ratios, [0.025, 0.975])
  return {
    'ratio': float(row.mean() / reference.mean()),
    'low': float(low),
    'high': float(high),
  }


if __name__ == '__main__':
  main()
