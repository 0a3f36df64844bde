"""Workdirs with weights that nobody trained, but that all matter."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from vbanana_jax import config as config_lib
from vbanana_jax.training import checkpoint, weights
from vbanana_jax.training.state import TrainState, make_params


def save_run(
  workdir: pathlib.Path, *tasks: str, arg: str = 'quickstart:smoke'
) -> None:
  """Writes what a training of one step leaves.

  Args:
    workdir: a folder.
    *tasks: that run.json says it was trained on; all if none is given.
    arg: name of the config.
  """
  config = config_lib.load_config(arg).to_dict()
  if tasks:
    config['mixture'] = {
      name: float(name in tasks) for name in config['mixture']
    }
  model = weights.build_network(config)
  shapes = jax.eval_shape(lambda: make_params(model, size=32, seed=0))
  rng = np.random.default_rng(0)
  params = jax.tree.map(
    lambda x: jnp.asarray(0.15 * rng.standard_normal(x.shape, np.float32)),
    shapes,
  )
  (workdir / 'run.json').write_text(json.dumps({'config': config}))
  row = {
    'step': 1, 'seconds': 1.0, 'cpu_seconds': 1.0, 'waited': 0.0,
    'compile_seconds': 0.5, 'loss': 1.0, 'images_per_second': 8.0,
  }  # fmt: skip
  (workdir / 'metrics.jsonl').write_text(json.dumps(row) + '\n')
  state = TrainState(jnp.int32(1), params, params, {'moments': jnp.zeros(2)})
  with checkpoint.Checkpoints(workdir, keep=1) as checkpoints:
    checkpoints.save(state, weights.make_manifest(config))
