"""Whether the data keeps up: images a second into the device, and waiting.

  python -m perf.data_pipeline [--workers 1 2 4] [--steps 104] \
    [--output perf/results/data_pipeline.json]

Rates are of the whole path: drawing or reading and decoding, posing the task,
the tokenizer, batches, and the transfer to the device. Numbers of workers take
turns. Waiting is what `vbanana train` itself writes down in runs of the
reference configs, between two steps of the middle; beside it stands the
scenes' share of the CPU time between them, from that of scenes drawn alone.
"""

import argparse
import copy
import pathlib
import tempfile
from typing import Any

import jax

from perf import pictures, timing
from vbanana_jax import cli, sharding, train
from vbanana_jax.config import load_config
from vbanana_jax.data import build, scene_cost, stream
from vbanana_jax.runtime import logs

WORKERS = (1, 2, 4)
STEPS = 104
# Batches that are read ahead, two groups of eight, and what was drawn while the
# step was compiled have all been used up by then.
_FROM_STEP = 40
# Near the end nothing is read any more, and the step has all cores.
_LAST_STEPS = 16
_LOG_STEPS = 8  # divides the two


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--workers', type=int, nargs='+', default=WORKERS)
  parser.add_argument('--rounds', type=int, default=5)
  parser.add_argument('--images', type=int, default=960, help='of a turn')
  parser.add_argument('--steps', type=int, default=STEPS, help='of a training')
  parser.add_argument('--quick', action='store_true', help='rough numbers')
  parser.add_argument('--output', type=pathlib.Path)
  args = parser.parse_args()
  cli.use_compilation_cache()
  if args.quick:
    args.rounds, args.images, args.steps = 1, 192, 64
  result = measure(
    workers=args.workers,
    rounds=args.rounds,
    images=args.images,
    steps=args.steps,
    words='smoke' if args.quick else '',
  )
  print(timing.save('data_pipeline', result, output=args.output))


def measure(
  *,
  workers=WORKERS,
  rounds: int = 5,
  images: int = 960,
  steps: int = STEPS,
  words: str = '',
  pictures_made: int = 256,
) -> dict[str, Any]:
  """Rates of all sources by workers, and waiting in trainings.

  Args:
    workers: numbers of threads, the first one to compare with.
    rounds: turns of each.
    images: of a turn.
    steps: of a training; 0 for none.
    words: behind the configs' arguments, as in 'smoke'.
    pictures_made: how many stand for photographs.

  Returns:
    `ratios`; `rates` by source and workers; `waiting` by config.
  """
  with tempfile.TemporaryDirectory() as scratch:
    folder = pathlib.Path(scratch)
    prepared = pictures.prepare_pictures(folder, pictures_made)
    sources = make_sources(prepared, words)
    rates = {
      name: measure_rates(config, workers, rounds, images)
      for name, config in sources.items()
    }
    waiting = {
      name: measure_waiting(config, folder / f'{k}', steps)
      for k, (name, config) in enumerate(make_runs(prepared, words).items())
      if steps
    }
  first, last = str(workers[0]), str(workers[-1])
  return {
    'ratios': {
      **{
        f'{name}: share of a training spent waiting': run['waited']
        for name, run in waiting.items()
      },
      **{
        f'{name}: share of its CPU time drawing scenes': run['drawn']
        for name, run in waiting.items()
      },
      **{
        f'{name}: rate of {last} workers over {first}': rate['more_workers']
        for name, rate in rates.items()
        if last != first
      },
    },
    'rates': rates,
    'waiting': waiting,
    'photographs': f'{pictures_made} of 500x375, every fourth a PNG',
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
) -> dict[str, Any]:
  """Images a second and CPU milliseconds an image, by number of workers."""
  feeds = {str(n): Feed(config, threads=n) for n in workers}
  times = timing.interleave(
    {name: lambda f=f: f.take(images) for name, f in feeds.items()}, rounds
  )
  rates = {
    name: {
      'images_per_s': timing.summarize(
        [images / wall for wall in both['wall']]
      ),
      'cpu_ms_per_image': timing.summarize(
        [1e3 * cpu / images for cpu in both['cpu']]
      ),
    }
    for name, both in times.items()
  }
  first, last = str(workers[0]), str(workers[-1])
  return {'more_workers': timing.compare(times, first, last), 'workers': rates}


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

  Returns:
    shares between the two rows: `waited` of the wall time, `drawn` of the CPU
    time; and what they are made of.
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
    'waited': timing.shorten(waited / seconds, 2),
    'drawn': timing.shorten(drawn / cpu_seconds, 2),
    'from_step': _FROM_STEP,
    'to_step': to_step,
    'waited_s': timing.shorten(waited),
    'seconds': timing.shorten(seconds),
    'cpu_seconds': timing.shorten(cpu_seconds),
    'step_ms': timing.shorten(1e3 * seconds / taken),
    'cpu_ms_per_image': timing.shorten(1e3 * cpu_seconds / images),
    'scene_cpu_ms': timing.shorten(1e3 * scene),
  }


if __name__ == '__main__':
  main()
