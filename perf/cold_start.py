"""From the start of `vbanana predict` to a written file, in new processes.

  python -m perf.cold_start [--rounds 5] [--workdir RUN]

Depth of a 640x480 photograph by a network of the quickstart's size with fresh
weights, or by a run. `cold` has an empty cache of compiled programs, `warm`
the one that the run before left; `exported` is the same answer from a folder
of `vbanana export`.
"""

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import jax
import jax.numpy as jnp
from PIL import Image

from perf import pictures, run, timing, workload
from vbanana_jax.runtime import logs
from vbanana_jax.training import checkpoint, weights
from vbanana_jax.training.state import TrainState


def make_run(folder: pathlib.Path) -> pathlib.Path:
  """A workdir with random weights, as training leaves one."""
  config = workload.make_config(256, batch_size=8)
  model = weights.build_network(config)
  params = jax.device_put(workload.make_random_params(model, config))
  logs.save_json(folder / 'run.json', {'config': config})
  state = TrainState(jnp.int32(1), params, params, {'none': jnp.zeros(1)})
  with checkpoint.Checkpoints(folder, keep=1) as checkpoints:
    checkpoints.save(jax.block_until_ready(state), weights.make_manifest())
  return folder


def time_command(
  arguments: list[str], cache: pathlib.Path
) -> tuple[float, ...]:
  """Wall and CPU seconds of a new `vbanana` process."""
  began, before = time.perf_counter(), os.times()
  subprocess.run(
    [sys.executable, '-m', 'vbanana_jax', *arguments],
    env={**os.environ, 'JAX_COMPILATION_CACHE_DIR': str(cache)},
    capture_output=True,
    check=True,
  )
  after = os.times()
  cpu = after.children_user - before.children_user
  return time.perf_counter() - began, (
    cpu + after.children_system - before.children_system
  )


def measure(
  rounds: int = 5, workdir: pathlib.Path | None = None
) -> dict[str, Any]:
  """Seconds of whole processes, and their ratios."""
  with tempfile.TemporaryDirectory() as place:
    folder = pathlib.Path(place)
    workdir = workdir or make_run(folder / 'run')
    photo, cache = folder / 'photo.jpg', folder / 'cache'
    Image.fromarray(pictures.make_photo()).save(photo)
    predict = ['predict', str(photo), '--out', str(folder / 'out')]
    predict.append('--overwrite')
    ask = [*predict, '--task', 'depth', '--checkpoint', str(workdir)]
    serve = [*predict, '--exported', str(folder / 'served')]
    timing.say('cold')
    cold, cold_cpu = time_command(ask, cache)
    export = f'export --task depth --size 48x64 --workdir {workdir} --out'
    time_command([*export.split(), str(folder / 'served')], cache)
    time_command(serve, cache)
    timing.say('warm')
    both = {'warm': ask, 'exported': serve}
    found = {name: [] for name in both}
    for _ in range(rounds):
      for name, words in both.items():
        found[name].append(time_command(words, cache))
  wall = {name: [row[0] for row in rows] for name, rows in found.items()}
  processes = {
    'cold': {
      'seconds': timing.shorten(cold), 'cpu_seconds': timing.shorten(cold_cpu)
    },
  }  # fmt: skip
  for name, rows in found.items():
    processes[name] = {
      'seconds': timing.summarize(wall[name]),
      'cpu_seconds': timing.summarize([row[1] for row in rows]),
    }
  ratio = cold / statistics.median(wall['warm'])
  return {
    'tables': {
      'processes': processes,
      'ratios': {
        'cold / warm': {'ratio': timing.shorten(ratio)},
        'warm / exported': {
          'ratio': timing.summarize(
            [a / b for a, b in zip(wall['warm'], wall['exported'])]
          )
        },
      },
    }
  }


if __name__ == '__main__':
  run.run_main(measure, quick={'rounds': 1})
