"""Whether the data keeps up: images a second into the device, and waiting.

  python -m benchmarks.data_pipeline [--workers 1 2 4] [--steps 24] \
    [--output benchmarks/results/data_pipeline.json]

Rates are of the whole path: drawing or reading and decoding, posing the task,
the tokenizer, batches, and the transfer to the device. Numbers of workers take
turns. Waiting is what `vbanana train` itself writes down in short runs of the
reference configs; beside it stands the scenes' share of such a run's CPU time,
from the CPU time of scenes drawn alone.
"""

import argparse
import copy
import pathlib
import tempfile
from typing import Any

import jax

from benchmarks import pictures, timing
from vbanana_jax import cli, logs, sharding, train
from vbanana_jax.config import load_config
from vbanana_jax.data import build, drawing, stream

WORKERS = (1, 2, 4)


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--workers', type=int, nargs='+', default=WORKERS)
  parser.add_argument('--rounds', type=int, default=5)
  parser.add_argument('--images', type=int, default=960, help='of a turn')
  parser.add_argument('--steps', type=int, default=24, help='of a training')
  parser.add_argument('--quick', action='store_true', help='rough numbers')
  parser.add_argument('--output', type=pathlib.Path)
  args = parser.parse_args()
  cli.use_compilation_cache()
  if args.quick:
    args.rounds, args.images, args.steps = 1, 192, 8
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
  steps: int = 24,
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

  Returns:
    shares: `waited` of the wall time without compilation and without the first
    batch, which is waited for once, and `drawn` of the CPU time; and what they
    are made of.
  """
  config = copy.deepcopy(config)
  config.update(length=f'{steps} steps', save_every=f'{steps} steps')
  config['log_every'] = '1 steps'
  config['eval']['every'] = ''
  train.train(config, workdir)
  last = logs.load_metrics(workdir / 'metrics.jsonl')[-1]
  images = steps * config['batch_size']
  scene = drawing.measure_scene(config['data']['level'], config['image_size'])
  drawn = scene * drawing.count_scenes(config) * images
  return {
    'waited': timing.shorten(last['waited'] / last['seconds'], 2),
    'drawn': timing.shorten(drawn / last['cpu_seconds'], 2),
    'steps': steps,
    'step_ms': timing.shorten(1e3 * last['seconds'] / steps),
    'cpu_ms_per_image': timing.shorten(1e3 * last['cpu_seconds'] / images),
    'scene_cpu_ms': timing.shorten(1e3 * scene),
  }


if __name__ == '__main__':
  main()
