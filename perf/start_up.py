"""How long a photograph takes, a new process, and the first step of training.

  python -m perf.start_up [--rounds 3]

`one_core`: depth of a 640x480 photograph on a grid of 256x192, decoded and back
at full size, in a process that may use no other core. The rest are processes.

`predict`: depth of a 640x480 photograph by a network of the quickstart's size;
`cold` has an empty cache of compiled programs, `warm` what that run left there,
`exported` is the same answer from a folder of `vbanana export`. `train`: the
quickstart's tuning for one step, evaluation off, cold and warm. Cold ones run
once.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any

import jax
import jax.numpy as jnp
from PIL import Image

import vbanana_jax as vb
from perf import pictures, run, timing, workload
from vbanana_jax.runtime import logs
from vbanana_jax.training import checkpoint, weights
from vbanana_jax.training.state import TrainState

_SIZE = 192  # short edge of the grid; the photograph has 640x480


def make_run(folder: pathlib.Path) -> pathlib.Path:
  """A workdir with random weights, as training leaves one."""
  config = workload.make_config(256, batch_size=8)
  model = weights.build_network(config)
  params = jax.device_put(workload.make_random_params(model, config))
  logs.save_json(folder / 'run.json', {'config': config})
  state = TrainState(jnp.int32(1), params, params, {'none': jnp.zeros(1)})
  with checkpoint.Checkpoints(folder, keep=1) as checkpoints:
    manifest = weights.make_manifest(config)
    checkpoints.save(jax.block_until_ready(state), manifest)
  return folder


def time_one_core(workdir: pathlib.Path, rounds: int) -> timing.Times:
  """Seconds from pixels to meters; the whole process keeps to one core."""
  model, photo = vb.open(workdir), pictures.make_photo()
  before = os.sched_getaffinity(0)

  def keep_to(cores: set[int]) -> None:
    # Every thread of this process, those of XLA's pool among them.
    for thread in pathlib.Path('/proc/self/task').iterdir():
      os.sched_setaffinity(int(thread.name), cores)

  keep_to({min(before)})
  try:
    return timing.interleave(
      {'answer': lambda: model.ask('depth', photo, size=_SIZE).value}, rounds
    )['answer']
  finally:
    keep_to(before)


def time_command(words: list[str], cache: pathlib.Path) -> tuple[float, float]:
  """Wall and CPU seconds of a new `vbanana` process."""
  began, before = time.perf_counter(), os.times()
  subprocess.run(
    [sys.executable, '-m', 'vbanana_jax', *words],
    env={**os.environ, 'JAX_COMPILATION_CACHE_DIR': str(cache)},
    capture_output=True,
    check=True,
  )
  wall, after = time.perf_counter() - began, os.times()
  cpu = after.children_user - before.children_user
  return wall, cpu + after.children_system - before.children_system


def measure(
  rounds: int = 3, train_config: str = 'quickstart:tune'
) -> dict[str, Any]:
  """Seconds of whole processes; of `rounds` of them where they are warm."""
  with tempfile.TemporaryDirectory() as scratch:
    folder = pathlib.Path(scratch)
    photo, cache = folder / 'photo.jpg', folder / 'cache'
    Image.fromarray(pictures.make_photo()).save(photo)
    workdir = str(make_run(folder / 'run'))
    one_core = time_one_core(pathlib.Path(workdir), 3 * rounds)
    out = f'predict {photo} --out {folder / "out"} --overwrite'
    ask = f'{out} --task depth --workdir {workdir}'.split()
    serve = f'{out} --exported {folder / "served"}'.split()
    train = [
      'train', f'--config={train_config}', '--config.length=1 steps',
      '--config.log_every=1 steps', '--config.save_every=1 steps',
      '--config.eval.every=',
    ]  # fmt: skip

    def start_training(number: int) -> tuple[float, float]:
      return time_command([*train, f'--workdir={folder / str(number)}'], cache)

    found = {'train, cold': [start_training(0)]}
    found['predict, cold'] = [time_command(ask, cache)]
    export = f'export --task depth --size 48x64 --workdir {workdir} --out'
    time_command([*export.split(), str(folder / 'served')], cache)
    time_command(serve, cache)
    for number in range(1, rounds + 1):
      for name, seconds in (
        ('train, warm', start_training(number)),
        ('predict, warm', time_command(ask, cache)),
        ('predict, exported', time_command(serve, cache)),
      ):
        found.setdefault(name, []).append(seconds)
  return {
    'tables': {
      'one_core': {
        'depth of one photograph': {
          'seconds': timing.summarize(one_core['wall']),
          'cpu_seconds': timing.summarize(one_core['cpu']),
        }
      },
      'processes': {
        name: {
          'seconds': timing.summarize([wall for wall, _ in rows]),
          'cpu_seconds': timing.summarize([cpu for _, cpu in rows]),
        }
        for name, rows in found.items()
      },
    },
    'train_config': train_config,
  }


if __name__ == '__main__':
  run.run_main(
    measure, quick={'rounds': 1, 'train_config': 'quickstart:tune,smoke'}
  )
