"""Does tuning cost the generator anything? Held-out loss on the same noise.

  vbanana train --config quickstart:pretrain --workdir runs/generate \
    --config.init_from=runs/quickstart/pretrain \
    --config.length='26_880 examples'
  python -m perf.retention --runs runs/quickstart/pretrain \
    runs/quickstart/tune runs/generate

The first command goes on with generation alone for as long as the tuning.
Every run sees the same held-out captions, pictures, noise and times. Ratios
are of mean losses, with paired bootstrap intervals over examples: to the first
run, and to the same weights when they are given no caption to read.
"""

import pathlib
from typing import Any

import jax
import numpy as np

from perf import run, timing
from vbanana_jax import keys, sharding
from vbanana_jax.data import sources
from vbanana_jax.errors import UserError
from vbanana_jax.evaluation import held_out
from vbanana_jax.tasks.generate import Generate
from vbanana_jax.training import weights
from vbanana_jax.training.step import make_example_losses

_HELD_OUT_SEED = 2**40 + 3


def measure(runs: tuple[pathlib.Path, ...], n: int = 2048) -> dict[str, Any]:
  """Mean losses of runs, over the first one's and over those without caption.

  Args:
    runs: workdirs.
    n: held-out examples.
  """
  for workdir in runs:
    if not workdir.is_dir():
      raise UserError(f'--runs {workdir}: no run there; see --help')
  table, first = {}, None
  for workdir in runs:
    losses = make_losses(workdir, n, blank=False)
    first = losses if first is None else first
    table[str(workdir)] = {
      'loss': timing.shorten(float(losses.mean()), 5),
      'over_the_first': compare(losses, first),
      'over_no_caption': compare(losses, make_losses(workdir, n, blank=True)),
    }
  return {'tables': {'losses': table}, 'n': n}


def make_losses(run: pathlib.Path, n: int, blank: bool) -> np.ndarray:
  """Loss of every held-out example, `[n]`, with averaged weights."""
  config, model, params, mesh = weights.load_run(run)

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


def compare(row: np.ndarray, reference: np.ndarray) -> dict[str, float]:
  """Ratio of mean losses, with the ends of a paired 95 % bootstrap interval."""
  rng = keys.make_rng(0, 'retention')
  draws = rng.integers(0, len(row), (1000, len(row)))
  low, high = np.quantile(
    row[draws].mean(1) / reference[draws].mean(1), [0.025, 0.975]
  )
  found = {'median': row.mean() / reference.mean(), 'min': low, 'max': high}
  return {name: timing.shorten(float(x), 5) for name, x in found.items()}


if __name__ == '__main__':
  run.run_main(measure)
