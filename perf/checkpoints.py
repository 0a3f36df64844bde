"""What a checkpoint costs: the loop's part, the whole of it, and reading it.

  python -m perf.checkpoints [--sizes nano small base] [--folder DIR]

The state is that of a training with Muon: weights, their average and the
optimizer's. A training step waits while the arrays are copied; the rest is
written in the background. The disk is that of the temporary folder, or of
`--folder`; what is read back has just been written, so that the system may
still have it in memory.
"""

import pathlib
import tempfile
import time
from typing import Any

import jax
import numpy as np

from perf import run, timing
from vbanana_jax import sharding
from vbanana_jax.config import load_config
from vbanana_jax.training import checkpoint, optim, weights
from vbanana_jax.training.setup import make_abstract_state


def measure(
  sizes: tuple[str, ...] = ('nano', 'small', 'base'),
  rounds: int = 3,
  folder: pathlib.Path | None = None,
) -> dict[str, Any]:
  """Saves and restores states of several sizes.

  Args:
    sizes: keys of `models.SIZES`.
    rounds: saves and restores of each, after one that does not count.
    folder: where the checkpoints go for the time being.
  """
  found = {size: measure_size(size, rounds, folder) for size in sizes}
  return {'tables': {'sizes': found}}


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
  rows = []
  for _ in range(1 + rounds):
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
        rows.append((blocked, written, time.perf_counter() - began))
  blocking, whole, restores = zip(*rows[1:])  # the first does not count
  return {
    'state_mb': timing.shorten(megabytes),
    'the_loop_waits_ms': timing.summarize([1e3 * s for s in blocking]),
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
  run.run_main(measure, quick={'sizes': ('nano',), 'rounds': 1})
