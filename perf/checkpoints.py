"""What a checkpoint costs: the loop's part, the whole of it, and reading it.

  python -m perf.checkpoints [--sizes nano small base] [--folder DIR] \
    [--output perf/results/checkpoints.json]

The state is that of a training with Muon: weights, their average and the
optimizer's. A training step waits while the arrays are copied; the rest is
written in the background. The disk is that of the temporary folder, or of
`--folder`; what is read back has just been written, so that the system may
still have it in memory.
"""

import argparse
import pathlib
import tempfile
import time
from typing import Any

import jax
import numpy as np

from perf import timing
from vbanana_jax import models, sharding
from vbanana_jax.config import load_config
from vbanana_jax.train import make_abstract_state
from vbanana_jax.training import checkpoint, optim, weights

SIZES = ('nano', 'small', 'base')


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument(
    '--sizes', nargs='+', default=SIZES, help='of models.SIZES'
  )
  parser.add_argument('--rounds', type=int, default=3)
  parser.add_argument('--folder', type=pathlib.Path, help='on the disk to ask')
  parser.add_argument('--quick', action='store_true', help='rough numbers')
  parser.add_argument('--output', type=pathlib.Path)
  args = parser.parse_args()
  if args.quick:
    args.sizes, args.rounds = SIZES[:1], 1
  result = measure(sizes=args.sizes, rounds=args.rounds, folder=args.folder)
  print(timing.save('checkpoints', result, output=args.output))


def measure(
  *, sizes=SIZES, rounds: int = 3, folder: pathlib.Path | None = None
) -> dict[str, Any]:
  """Saves and restores states of several sizes.

  Args:
    sizes: keys of `models.SIZES`.
    rounds: saves and restores of each, after one that does not count.
    folder: where the checkpoints go for the time being; the system's
      temporary folder if not given.

  Returns:
    `ratios`: of each size, the loop's share of a save; and under `sizes` all
    numbers.
  """
  found = {size: measure_size(size, rounds, folder) for size in sizes}
  return {
    'ratios': {
      f"{size}: the loop's share of a save": cell['blocking_share']
      for size, cell in found.items()
    },
    'sizes': found,
  }


def measure_size(
  size: str, rounds: int, folder: pathlib.Path | None
) -> dict[str, Any]:
  """One size: milliseconds, and MB a second of save and restore."""
  config = load_config('quickstart').to_dict()
  config['model']['size'] = size
  mesh = sharding.build_mesh(config['mesh'])
  model = weights.build_network(config, mesh)
  optimizer = optim.build_optimizer(config['optim'], 100, model.precision)
  abstract = make_abstract_state(config, model, optimizer, mesh)
  state = jax.tree.map(_fill, abstract)
  megabytes = sum(leaf.nbytes for leaf in jax.tree.leaves(state)) / 1e6
  manifest = weights.make_manifest()
  blocking, whole, restores = [], [], []
  for attempt in range(-1, rounds):
    with tempfile.TemporaryDirectory(dir=folder) as workdir:
      with checkpoint.Checkpoints(workdir, keep=1) as checkpoints:
        began = time.perf_counter()
        checkpoints.save(state, manifest)
        blocked = time.perf_counter() - began
        checkpoints.close()
        written = time.perf_counter() - began
      with checkpoint.Checkpoints(workdir, keep=1) as checkpoints:
        began = time.perf_counter()
        jax.block_until_ready(checkpoints.restore(abstract))
        restored = time.perf_counter() - began
    if attempt >= 0:
      blocking.append(blocked)
      whole.append(written)
      restores.append(restored)
  return {
    'parameters': models.count_parameters(state.params),
    'megabytes': timing.shorten(megabytes),
    'blocking_share': timing.summarize(
      [part / all for part, all in zip(blocking, whole)]
    ),
    'blocking_ms': timing.summarize([1e3 * s for s in blocking]),
    'save_ms': timing.summarize([1e3 * s for s in whole]),
    'restore_ms': timing.summarize([1e3 * s for s in restores]),
    'save_mb_per_s': timing.summarize([megabytes / s for s in whole]),
    'restore_mb_per_s': timing.summarize([megabytes / s for s in restores]),
  }


def _fill(leaf: jax.ShapeDtypeStruct) -> jax.Array:
  """An array that does not compress: a disk is asked for all of its bytes."""
  rng = np.random.default_rng(0)
  values = np.asarray(1000 * rng.standard_normal(leaf.shape), leaf.dtype)
  return jax.device_put(values, leaf.sharding)


if __name__ == '__main__':
  main()
