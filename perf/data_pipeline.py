"""Whether the data keeps up: images a second into the device, and waiting.

  python -m perf.data_pipeline [--workers 1 2 4] [--steps 104]

Rates are of the whole path: drawing or reading and decoding, posing the task,
the tokenizer, batches, and the transfer to the device. Numbers of workers take
turns. Waiting is what `vbanana train` itself writes down in runs of the
reference configs, between two steps of the middle; beside it stands the
scenes' share of the CPU time between them, from that of scenes drawn alone.
"""

import copy
import pathlib
import tempfile
from typing import Any

import jax

from perf import pictures, run, timing
from vbanana_jax import sharding, train
from vbanana_jax.config import load_config
from vbanana_jax.data import build, scene_cost, stream
from vbanana_jax.runtime import logs

# Batches that are read ahead, two groups of eight, and what was drawn while the
# step was compiled have all been used up by then.
_FROM_STEP = 40
# Near the end nothing is read any more, and the step has all cores.
_LAST_STEPS = 16
_LOG_STEPS = 8  # divides the two


def measure(
  workers: tuple[int, ...] = (1, 2, 4),
  rounds: int = 5,
  images: int = 960,
  steps: int = 104,
  words: str = '',
  photographs: int = 256,
) -> dict[str, Any]:
  """Rates of all sources by workers, and waiting in trainings.

  Args:
    workers: numbers of threads.
    rounds: turns of each.
    images: of a turn.
    steps: of a training; 0 for none.
    words: behind the configs' arguments, as in 'smoke'.
    photographs: how many random pictures stand for them.
  """
  with tempfile.TemporaryDirectory() as scratch:
    folder = pathlib.Path(scratch)
    prepared = pictures.prepare_pictures(folder, photographs)
    waiting = {
      name: measure_waiting(config, folder / f'{k}', steps)
      for k, (name, config) in enumerate(make_runs(prepared, words).items())
      if steps
    }
    rates = {}
    for name, config in make_sources(prepared, words).items():
      rates |= {
        f'{name}, {number} worker{"s" * (number > 1)}': row
        for number, row in measure_rates(
          config, workers, rounds, images
        ).items()
      }
  return {
    'tables': {'waiting': waiting, 'rates': rates},
    'photographs': f'{photographs} of 500x375, every fourth a PNG',
    'from_step': _FROM_STEP,
    'to_step': steps - _LAST_STEPS,
  }


def make_sources(prepared: pathlib.Path, words: str = '') -> dict[str, dict]:
  """Configs whose data are scenes alone, and photographs alone."""
  tune = load_config(f'quickstart:tune,{words}').to_dict()
  full, photos = copy.deepcopy(tune), copy.deepcopy(tune)
  full['data']['level'] = 'full'
  photos['mixture'] = dict.fromkeys(photos['mixture'], 0.0)
  photos['data'].update(photos=str(prepared), photos_weight=1.0)
  return {'quick scenes': tune, 'full scenes': full, 'photographs': photos}


def make_runs(prepared: pathlib.Path, words: str = '') -> dict[str, dict]:
  """The reference configs, and the quickstart's tuning on full scenes."""
  runs = {
    f'quickstart:{phase}': load_config(f'quickstart:{phase},{words}').to_dict()
    for phase in ('pretrain', 'tune')
  }
  runs['quickstart:tune, full scenes'] = make_sources(prepared, words)[
    'full scenes'
  ]
  runs['photos'] = load_config(f'photos:{words}').to_dict()
  runs['photos']['data']['photos'] = str(prepared)
  return runs


def measure_rates(
  config: dict[str, Any], workers, rounds: int, images: int
) -> dict[int, Any]:
  """Images a second and CPU milliseconds an image, by number of workers."""
  feeds = {n: Feed(config, threads=n) for n in workers}
  times = timing.interleave(
    {n: lambda f=f: f.take(images) for n, f in feeds.items()}, rounds
  )
  return {
    n: {
      'images_per_s': timing.summarize([images / s for s in both['wall']]),
      'cpu_ms_per_image': timing.summarize(
        [1e3 * s / images for s in both['cpu']]
      ),
    }
    for n, both in times.items()
  }


class Feed:
  """Batches of a config on the device, each turn from further on.

  A turn begins with an empty stream: nothing was read while others had theirs.
  """

  def __init__(self, config: dict[str, Any], *, threads: int):
    self._config = config
    self._threads = threads
    self._mixture = build.build_mixture(config)
    self._mesh = sharding.build_mesh(config['mesh'])
    self._step = 0

  def take(self, images: int) -> None:
    """Puts so many images on the device, rounded up to whole batches."""
    config = self._config
    batch_size = config['batch_size']
    steps = -(-images // batch_size)
    batches = stream.build_stream(
      self._mixture,
      batch_size=batch_size,
      seed=config['seed'],
      max_text=config['model']['max_text'],
      text_length=config['data']['text_length'],
      start_step=self._step,
      end_step=self._step + steps,
      one_pass_share=config['loss']['one_pass_share'],
      threads=self._threads,
    )
    self._step += steps
    for batch in batches:
      jax.block_until_ready(sharding.put_batch(batch, self._mesh))


def measure_waiting(
  config: dict[str, Any], workdir: pathlib.Path, steps: int
) -> dict[str, Any]:
  """Trains for some steps and reads what the run wrote of its time.

  What is compared are two rows of metrics.jsonl: one from where the batches
  that were ready before the first step are used up, one from before the reading
  of the last ones is done.

  Args:
    config: see `configs/base.py`.
    workdir: of the training.
    steps: of it, a multiple of 8 and at least 64.

  Raises:
    ValueError: too few steps.
  """
  to_step = steps - _LAST_STEPS
  if to_step <= _FROM_STEP or steps % _LOG_STEPS:
    raise ValueError(f'{steps} steps: a multiple of 8, 64 or more, is needed')
  config = copy.deepcopy(config)
  config.update(length=f'{steps} steps', save_every=f'{steps} steps')
  config['log_every'] = f'{_LOG_STEPS} steps'
  config['eval']['every'] = ''
  train.train(config, workdir)
  rows = logs.load_metrics(workdir / 'metrics.jsonl')
  at = {row['step']: row for row in rows}
  waited, seconds, cpu_seconds = (
    at[to_step][name] - at[_FROM_STEP][name]
    for name in ('waited', 'seconds', 'cpu_seconds')
  )
  taken = to_step - _FROM_STEP
  images = taken * config['batch_size']
  scene = scene_cost.measure_scene(
    config['data']['level'], config['image_size']
  )
  drawn = scene * build.count_renderings(config) * images
  return {
    'waiting_share': timing.shorten(waited / seconds, 2),
    'drawing_share': timing.shorten(drawn / cpu_seconds, 2),
    'step_ms': timing.shorten(1e3 * seconds / taken),
    'cpu_ms_per_image': timing.shorten(1e3 * cpu_seconds / images),
    'cpu_ms_per_scene': timing.shorten(1e3 * scene),
  }


if __name__ == '__main__':
  run.run_main(
    measure,
    quick={
      'workers': (1, 2),
      'rounds': 1,
      'images': 192,
      'steps': 64,
      'words': 'smoke',
      'photographs': 32,
    },
  )
